"""What the page says of the trial of cross-family agreement is what its output has."""

import re

from benchmark.choices import CHECKOUT


def test_the_page_quotes_the_output_of_the_trial():
    output = (CHECKOUT / "results" / "baselines" / "agreement_trial.txt").read_text()
    page = " ".join((CHECKOUT / "docs" / "your_images.md").read_text().split())
    rows = re.findall(
        r"^(\w+): (\d+) images.*?configurations, cross-family agreement +(\S+) \[(\S+), (\S+)\].*?"
        r"chosen without labels: (.*?), mSA .*?; the best: (.*?), ",
        output,
        re.DOTALL | re.MULTILINE,
    )
    assert [row[0] for row in rows] == ["dsb", "u20s", "histology_rgb"]
    for data, images, *numbers, chosen, best in rows:
        number, low, high = (text.lstrip("+") for text in numbers)
        assert re.search(rf"{number} \[{low}, {high}\] on {data} \({images}( images)?\)", page)
        assert chosen != best, "the page says that the best was first on none"
