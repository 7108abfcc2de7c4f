"""Take the picture of the report page that README shows.

    python docs/make_picture.py                           # trains two short runs first
    python docs/make_picture.py runs/demo runs/vanilla    # of these runs

Needs chromium, chromedriver and selenium (the extra `test`).
"""

import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.recipes.report import command as report

PICTURE = Path(__file__).parent / "images" / "report.png"
RUNS = {"episodes": [], "next-token": ["--hybrid_ratio", "0"]}
SIZE = (1200, 1150)
MOST_BYTES = 200_000
CHARTS_ARE_DRAWN = "return document.documentElement.dataset.drawn"
SCROLL_TO_CURVES = """
    const top = document.querySelector("#curves").getBoundingClientRect().top;
    scrollTo({top: top + scrollY, behavior: "instant"});
"""


def main(runs: list[str], picture: Path = PICTURE) -> None:
    """Render the report of some runs and save a screenshot of its curves.

    Args:
        runs: folders of runs; if empty, the demo is trained for 150 steps with and without episodes.
        picture: PNG file to write.

    Raises:
        SystemExit: chromium or chromedriver is missing, or the picture has more than 200 kB.
    """
    with tempfile.TemporaryDirectory() as folder:
        page = report.main([*(runs or train(Path(folder))), "--output", f"{folder}/report", "--formats", "png"])
        picture.parent.mkdir(parents=True, exist_ok=True)
        take(page, picture)
    # 256 colours are enough for a page of text and lines, and a third of the bytes.
    Image.open(picture).convert("RGB").quantize(256).save(picture, optimize=True)
    if picture.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{picture} has {picture.stat().st_size} bytes, more than {MOST_BYTES}: lower SIZE")


def train(folder: Path) -> list[str]:
    """Train the demo for 150 steps with and without episodes; returns the folders of the runs."""
    sizes = "--gradient_accumulation_steps 2 --warmup_steps 50 --eval_blocks 512".split()
    short = "--config demo --max_steps 150 --eval_steps 25 --dynamics_steps 10 --save_steps 150".split()
    for name, changes in RUNS.items():
        pretrain.main([*short, *sizes, *changes, "--output_dir", str(folder / name)])
    return [str(folder / name) for name in RUNS]


def take(page: Path, picture: Path) -> None:
    """Open a page in headless chromium and save what the window shows."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        raise SystemExit("chromium and chromedriver are needed: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        metrics = {"width": SIZE[0], "height": SIZE[1], "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.get(page.resolve().as_uri())
        WebDriverWait(browser, 60).until(lambda page: page.execute_script(CHARTS_ARE_DRAWN))
        browser.execute_script(SCROLL_TO_CURVES)
        browser.save_screenshot(str(picture))
    finally:
        browser.quit()


if __name__ == "__main__":
    main(sys.argv[1:])
