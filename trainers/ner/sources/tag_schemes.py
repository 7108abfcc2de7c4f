"""Ways of writing entities as tags, all turned into IOB2."""

from collections.abc import Sequence

from ...errors import InputError

SCHEMES = ("iob2", "iob1", "bilou")
PREFIXES = {"iob2": "BI", "iob1": "BI", "bilou": "BILUES"}


def to_iob2_tags(tags: Sequence[str], scheme: str, where: str) -> list[str]:
    """Turn the tags of a sentence into IOB2.

    Args:
        tags: O, or a prefix, - and a class.
        scheme: `iob2`, whose tags stay as they are; `iob1`, where B- only parts entities of one class that touch;
            `bilou`, with L- for the last and U- for the only word of an entity (E- and S- in BIOES).
        where: names the sentence in an error.

    Raises:
        InputError: a tag of another scheme.
    """
    found, before = [], "O"
    for tag in tags:
        prefix, dash, label = tag.partition("-")
        if tag != "O" and not (dash and label and prefix in PREFIXES[scheme] and len(prefix) == 1):
            other = next((name for name in SCHEMES if prefix in PREFIXES[name] and dash), None)
            remedy = f"set tag_scheme to {other}" if other else "write O, or PREFIX-CLASS"
            raise InputError(f"{where}: unknown tag {tag!r} in {scheme}: {remedy}")
        if tag == "O":
            found.append("O")
        elif scheme == "bilou":
            found.append(f"{'B' if prefix in 'BUS' else 'I'}-{label}")
        elif scheme == "iob1" and before != label:
            found.append(f"B-{label}")
        else:
            found.append(tag)
        before = label if tag != "O" else "O"
    return found
