"""The weights' cards are true: well-formed, and as the upstream libraries have it."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
from omegaconf import OmegaConf

from benchmark.adapter import find_adapter
from models.weights.card import WAYS, Card, CardFile, cards

CARDS: list[Card] = list(cards().values())
FILES: list[tuple[Card, str, CardFile]] = [
    (card, key, file) for card in CARDS for key, file in card.files.items()
]
CHECKOUT = Path(__file__).parents[2]
MODELS = sorted((CHECKOUT / "configs" / "model").glob("*.yaml"))
DIGITS = {"sha256": 64, "md5": 32, "xxh128": 32}  # hexadecimal, by algorithm
# `part` is a part that was drawn across the splits: no image is known to be left out.
SPLITS = {"train", "val", "all", "part", "unknown"}
# The study's data sets, as they are keyed; another spelling would hide what was trained on.
# fmt: off
DATA = [
    "livecell", "omnipose", "deepbacs", "usiigaci", "vicar", "toiam", "deepseas", "yeaz",
    "segpc", "cellpose", "cellbindb", "tissuenet", "plantseg_root", "covid_if", "hpa",
    "mouse_embryo", "plantseg_ovules", "pnas_arabidopsis", "dynamicnuclearnet", "u20s",
    "arvidsson", "ifnuclei", "gonuclear", "nis3d", "parhyale_regen", "dsb", "bitdepth_nucseg",
    "ihc_tma", "lynsec", "pannuke", "monuseg", "tnbc", "cryonuseg", "nuinsseg", "puma",
    "cytodark0",
]
# fmt: on

each_card = pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
each_file = pytest.mark.parametrize(
    ("card", "key", "file"), FILES, ids=[f"{card.name}-{key}" for card, key, _ in FILES]
)


def of_family(*families: str) -> list[Card]:
    return [card for card in CARDS if card.family in families]


def plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def is_path(text: str) -> bool:
    return not text.startswith(("/", "~")) and ".." not in text.split("/") and "\\" not in text


def is_page(text: str) -> bool:
    return urlparse(text).scheme == "https" and bool(urlparse(text).hostname)


def is_here(text: str) -> bool:
    return is_path(text) and (CHECKOUT / text).exists()


@each_card
def test_a_card_says_all_it_has_to(card: Card) -> None:
    texts = (card.name, card.family, card.size, card.licence, card.source)
    assert all(isinstance(text, str) and text.strip() == text != "" for text in texts)
    assert all(text is None or text for text in (card.title, card.architecture, card.gated))
    assert (card.requires is None) == (card.install is None)
    assert isinstance(card.notes, str)
    assert card.way in WAYS and card.files
    for page in (card.source, card.gated):
        assert page is None or is_page(page) or (card.way == "packaged" and is_here(page))


@each_file
def test_a_file_has_a_safe_name_and_a_safe_source(card: Card, key: str, file: CardFile) -> None:
    assert is_path(file.name) and ("/" not in file.name or card.way == "hub")
    assert re.fullmatch(r"[\w.+/-]+", file.name)
    url = urlparse(file.source)
    ways = {("https", "url"), ("", "hub"), ("", "deepcell"), ("", "packaged")}
    assert (url.scheme, card.way) in ways
    assert bool(url.hostname) == (card.way == "url")
    assert all(is_path(place) for place in file.caches)


@each_file
def test_a_digest_is_well_formed(card: Card, key: str, file: CardFile) -> None:
    if file.digest:
        algorithm, _, digits = file.digest.partition(":")
        assert re.fullmatch(f"[0-9a-f]{{{DIGITS[algorithm]}}}", digits)
    assert (file.archive is not None) == (card.way == "deepcell")
    assert re.fullmatch("[0-9a-f]{32}", file.archive or "0" * 32)


@each_card
def test_what_it_was_trained_on_has_evidence(card: Card) -> None:
    assert card.trained_on  # or it reads as trained on nothing
    for row in card.trained_on:
        assert set(row) == {"data", "split", "evidence"}
        evidence = row["evidence"]
        assert row["data"] and ("https://" in evidence or is_here(evidence.partition(";")[0]))
        assert all(s in SPLITS or re.fullmatch(r"fold_\d", s) for s in row["split"].split("+"))
    data = [row["data"] for row in card.trained_on]
    assert len(data) == len(set(data))


@each_card
def test_data_sets_are_spelled_as_they_are_keyed(card: Card) -> None:
    keys = {plain(key): key for key in DATA}
    for row in card.trained_on:
        assert row["data"] == keys.get(plain(row["data"]), row["data"])


def test_there_are_36_data_sets() -> None:
    assert len(DATA) == len(set(map(plain, DATA))) == 36


@pytest.mark.parametrize(
    "card",
    [card for card in of_family("sam", "musam") if card.way != "packaged"],
    ids=lambda card: card.name,
)
def test_micro_sam_has_the_same_files(card: Card) -> None:
    util = pytest.importorskip("micro_sam.util", reason="micro-sam is not installed")
    registry = util.models()
    kept = "/".join(Path(util.pooch.os_cache("micro_sam"), "models").parts[-3:])
    for key, file in card.files.items():
        name = card.architecture if card.family == "sam" else card.name
        name += "_decoder" if key == "decoder" else ""
        assert (file.source, file.digest) == (registry.urls[name], registry.registry[name])
        assert f"{kept}/{name}" in file.caches
    has_decoder = f"{card.name}_decoder" in registry.registry
    assert set(card.files) == ({"encoder", "decoder"} if has_decoder else {"encoder"})


@pytest.mark.parametrize(
    "card", of_family("cellpose_sam", "cellpose_dino", "cellpose3"), ids=lambda card: card.name
)
def test_cellpose_has_the_same_files(card: Card) -> None:
    models = pytest.importorskip("cellpose.models", reason="cellpose is not installed")
    file = card.files["model"]
    if card.name not in models.MODEL_NAMES:
        pytest.skip("the installed cellpose is of another version, with other weights")
    assert file.source == f"{models._MODEL_URL.rstrip('/')}/{card.name}"
    assert file.name == card.name
    kept = models._MODEL_DIR_DEFAULT.relative_to(Path.home()).as_posix()
    assert f"{kept}/{card.name}" in file.caches


@pytest.mark.parametrize("card", of_family("sam2"), ids=lambda card: card.name)
def test_sam2_has_the_same_names(card: Card) -> None:
    sam2 = pytest.importorskip("sam2", reason="sam2 is not installed")
    text = Path(sam2.__path__[0], "build_sam.py").read_text()  # importing it needs Hydra's state
    found = re.findall(r'"configs/(sam2\.1)/sam2\.1_(\S+)\.yaml",\s+"(\S+)",', text)
    names = {name: architecture for _, architecture, name in found}
    file = card.files["model"]
    assert names[file.name] == card.architecture
    assert file.name == f"{card.name}.pt" == Path(urlparse(file.source).path).name


@pytest.mark.parametrize("card", of_family("stardist"), ids=lambda card: card.name)
def test_stardist_has_the_same_files(card: Card) -> None:
    stardist = pytest.importorskip("stardist", reason="stardist is not installed")
    text = Path(stardist.__path__[0], "models", "__init__.py").read_text()  # it needs TensorFlow
    found = re.findall(r"register_model\(StarDist2D, +'(\w+)', +'(\S+)', '(\w+)'\)", text)
    published = {name: (source, f"sha256:{digest}") for name, source, digest in found}
    file = card.files["model"]
    assert (file.source, file.digest) == published[card.name]
    assert file.caches == (f".keras/models/StarDist2D/{card.name}/{card.name}.zip",)


@pytest.mark.parametrize("card", of_family("cellsam"), ids=lambda card: card.name)
def test_cellsam_has_the_same_archive(card: Card) -> None:
    auth = pytest.importorskip("cellSAM._auth", reason="CellSAM is not installed")
    file = card.files["model"]
    version = {"asset_key": file.source, "asset_hash": file.archive}
    assert auth._model_versions["1.2"] == version
    kept = auth._asset_location.relative_to(Path.home()).as_posix()
    assert file.caches == (f"{kept}/models/cellsam_v1.2/{file.name}",)
    assert urlparse(auth._api_endpoint).hostname == urlparse(card.gated or "").hostname


def whole(path: Path) -> Any:
    """A model's YAML with those that it starts from."""
    model = OmegaConf.load(path)
    for name in model.get("defaults", []):
        model = OmegaConf.merge(whole(path.with_name(f"{name}.yaml")), model)
    return model


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_default_weights_have_a_card(path: Path) -> None:
    model = whole(path)
    if OmegaConf.is_missing(model, "weights") or model.get("weights") is None:
        return  # it has none, or its user has to say which
    chosen = [model.weights] if isinstance(model.weights, str) else model.weights.values()
    family = find_adapter(model._target_, model).family
    assert set(chosen) <= set(cards(family))
