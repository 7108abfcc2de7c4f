"""llama.cpp on a GGUF file, in a process of its own: the tokens of a text, what it writes, its log-probabilities."""

import json
import sys
import urllib.request

import xllamacpp


def main(path: str, text: str, prompt: list[int]) -> None:
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx, params.n_parallel, params.warmup = 64, 1, False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    # All of the attention in fp32; by default part of it is computed in fp16.
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    server = xllamacpp.Server(params)

    def post(route: str, **body: object) -> dict:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(server.listening_address + route, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    tokens = post("/tokenize", content=text, add_special=True, parse_special=True)["tokens"]
    # A temperature below zero is greedy, and the probabilities are those of the model itself.
    written = post("/completion", prompt=prompt, n_predict=8, return_tokens=True, temperature=-1, ignore_eos=True)[
        "tokens"
    ]
    logprobs = {}
    for end in range(1, len(prompt) + 1):
        step = post("/completion", prompt=prompt[:end], n_predict=1, n_probs=50, temperature=-1)
        # Left out where the token is part of a character only.
        if "completion_probabilities" in step:
            logprobs[end] = {row["id"]: row["logprob"] for row in step["completion_probabilities"][0]["top_logprobs"]}
    print(json.dumps({"tokens": tokens, "written": written, "logprobs": logprobs}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
