"""The demo network, and how its weights are trained: geometry, targets, reproducibility."""

import contextlib
import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from demo import crops, output
from demo.crops import CELL, POOL, SIDE, Shape, batch, crop
from demo.losses import losses, prompted
from demo.optimizer import Optimizer
from demo.pictures import EXCLUDED, HELD_OUT, Collection, drawn, find, picture, pieces, read
from demo.scoring import accuracy
from demo.targets import truth
from demo.trainer import Networks, Settings, Trainer
from PIL import Image
from segment_anything import SamPredictor
from torch.nn import functional

from benchmark.data.synthetic import draw
from benchmark.errors import UsageError
from models.apg import APG
from models.backbone import open_backbone
from models.demo.encoder import OFFSET, WIDTH

CHECKOUT = Path(__file__).parent.parent
DATA = Path(os.environ.get("BENCHMARK_DATA", "/nowhere"))
real = pytest.mark.skipif("BENCHMARK_DATA" not in os.environ, reason="BENCHMARK_DATA is not set")
TINY = {"windows": (256, 1, 2), "frames": (512, 1, 2), "frame_every": 2}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    return Networks().requires_grad_(False)


@pytest.fixture(scope="module")
def collection():
    pictures = [drawn("fluorescent_nuclei", index) for index in range(2)]
    return Collection(pictures, np.array([0.5, 0.5]), 0.3)


def image(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


# The network


@pytest.mark.parametrize("shape", [(60, 90), (130, 70), (64, 64)])
def test_micro_sam_finds_what_it_expects(networks, shape):
    predictor = SamPredictor(networks.sam)
    predictor.set_image(np.repeat(image(shape)[..., None], 3, axis=2))
    assert predictor.features.shape == (1, WIDTH, 64, 64)
    maps = networks.decoder(predictor.features, predictor.input_size, predictor.original_size)
    assert maps.shape == (1, 3, *shape) and maps.min() >= 0 and maps.max() <= 1
    masks, ious, logits = predictor.predict_torch(
        torch.tensor([[[300.0, 200.0]]]), torch.ones(1, 1), multimask_output=True
    )
    assert masks.shape == (1, 3, *shape) and ious.shape == (1, 3)
    assert logits.shape == (1, 3, 256, 256)


def test_the_weights_fit_the_repository_and_open_as_a_users_own(networks, tmp_path):
    """Written as a training ends, they are found by path like any checkpoint of micro-sam."""
    path = tmp_path / output.WEIGHTS
    digest = output.write_weights(path, networks)
    assert 5e6 < path.stat().st_size < output.LIMIT
    weights = APG.find_weights(str(path)).fetch()
    assert weights.digests == {"weights": digest} and weights.mark == "user"
    backbone = open_backbone(weights, "cpu")
    for loaded, own in (
        (backbone.predictor.model, networks.sam),
        (backbone.decoder, networks.decoder),
    ):
        assert same(loaded, copy.deepcopy(own).half().float())


def test_a_prompt_is_answered_at_its_place_before_any_training(networks):
    """So attention is initialised; on random matrices it would take hours to find that out."""
    code = networks.sam.prompt_encoder.get_dense_pe()
    point = torch.tensor([[[500.0, 300.0]]])
    query, _ = networks.sam.prompt_encoder((point, torch.ones(1, 1)), None, None)
    attention = networks.sam.mask_decoder.transformer.layers[0].cross_attn_token_to_image
    keys = attention.k_proj(code[0].flatten(1).T).reshape(64, 64, 4, 16)
    alike = (keys * attention.q_proj(query[0, 0]).reshape(4, 16)).sum(dim=-1)
    for head in range(4):
        row, column = divmod(int(alike[..., head].argmax()), 64)
        assert abs(row - 300 / CELL) < 2 and abs(column - 500 / CELL) < 2


def test_the_decoder_does_not_depend_on_the_mode(networks):
    embedding = torch.randn(1, WIDTH, 64, 64)
    expected = networks.decoder.eval()(embedding, (700, 1024), (70, 100))
    assert torch.equal(networks.decoder.train()(embedding, (700, 1024), (70, 100)), expected)
    networks.decoder.eval()


# Crops are what inference sees


@pytest.fixture
def plain(monkeypatch):
    """Crops neither turned, nor scaled or exposed otherwise than by inference."""
    monkeypatch.setattr(crops, "_turned", lambda picture, _: picture)
    monkeypatch.setattr(crops, "_exposed", lambda grey, *_: np.ascontiguousarray(grey))
    monkeypatch.setattr(crops, "_ZOOM", (1.0, 1.0))
    monkeypatch.setattr(crops, "_BEYOND", 0.0)


@pytest.mark.parametrize(
    ("shape", "most"),
    # SAM rounds the shorter side to whole pixels: its zoom is then a trace another one.
    [((128, 256), 1e-5), ((256, 192), 1e-5), ((130, 174), 0.06)],
)
def test_a_frame_is_what_the_encoder_sees_of_an_image(networks, plain, shape, most):
    grey = image(shape)
    grey[0, :2] = 0, 255
    one = picture(grey, np.zeros(shape, np.uint8))
    found = crop(one, Shape(SIDE, 1, 1), NeverMirrored(0))
    predictor = SamPredictor(networks.sam)
    predictor.set_image(np.repeat(one.grey[..., None], 3, axis=2))
    scaled = predictor.transform.apply_image(np.repeat(one.grey[..., None], 3, axis=2))
    frame = networks.sam.preprocess(torch.tensor(scaled).permute(2, 0, 1)[None].float())
    expected = functional.avg_pool2d(frame.mean(dim=1, keepdim=True), POOL)[0].numpy()
    assert np.abs(found.grey - expected).max() < most
    embedding = networks.sam.image_encoder.features(torch.from_numpy(found.grey)[None]).embedding
    assert (embedding - predictor.features).abs().max() < 100 * most


class NeverMirrored(np.random.Generator):
    """Its uniform numbers are high: what is done at random is not done."""

    def __init__(self, seed):
        super().__init__(np.random.PCG64(seed))

    def random(self, *args, **kwargs):
        return 0.999


def test_a_window_is_a_part_of_the_frame(networks, plain):
    """Truth, points and places in it are where they are in the whole."""
    grey, labels = draw("fluorescent_nuclei", 0, 5)
    one = picture(grey, labels)
    whole = crop(one, Shape(SIDE, 1, 4), NeverMirrored(0))
    for seed in range(4):
        part = crop(one, Shape(512, 1, 8), NeverMirrored(seed))
        assert ((part.origin >= 0) & (part.origin <= 512) & (part.origin % CELL == 0)).all()
        start = _where(whole.grey[0], part.grey[0])
        inner = np.s_[4:-4, 4:-4]  # at its edge a window starts between two pixels
        own = np.s_[start[0] : start[0] + 256, start[1] : start[1] + 256]
        differ = (whole.labels[own] > 0)[inner] != (part.labels > 0)[inner]
        assert differ.mean() < 0.05


def _where(whole, part):
    """The first pixel of where a part looks most alike."""
    from skimage.feature import match_template

    return np.unravel_index(match_template(whole, part).argmax(), (257, 257))


def test_points_mean_their_objects_as_a_predictor_would_hand_them_over(plain):
    grey, labels = draw("fluorescent_nuclei", 3, 5)
    one = picture(grey, labels)
    zoom = SIDE / 256
    for seed in range(3):
        found = crop(one, Shape(SIDE, 1, 30), np.random.default_rng(seed))
        # Back to the image's pixels: x * zoom is what a predictor makes of x.
        pixels = np.round(found.points / zoom).astype(int)
        assert np.abs(found.points / zoom - pixels).max() <= 0.26  # two pixels of the encoder each
        means = one.labels[pixels[:, 1], pixels[:, 0]]
        assert ((means > 0) == (found.objects > 0)).all()
        assert (found.objects > 0).any()


def test_places_lead_to_the_centers_of_objects(plain):
    grey, labels = draw("fluorescent_nuclei", 3, 5)
    found = crop(picture(grey, labels), Shape(SIDE, 1, 1), NeverMirrored(0))
    centers = truth(found.labels).centers
    rows, columns = np.nonzero(found.pure[0])
    assert len(rows) > 500
    step = CELL / 2
    here = (np.stack([rows, columns], axis=1) + 0.5) * step
    reached = here + found.places[1:, rows, columns].T
    nearest = np.abs(reached[:, None] - (centers[None] + 0.5) * POOL).max(axis=2).min(axis=1)
    assert nearest.max() < 1e-2
    inside = found.labels.reshape(128, 4, 128, 4) > 0
    assert np.array_equal(found.places[0], inside.mean(axis=(1, 3)).astype(np.float32))


def test_the_encoder_s_code_for_a_place_is_the_prompt_encoder_s(networks):
    encoder = networks.sam.image_encoder
    places = torch.zeros(1, 3, 128, 128)
    places[:, 0] = 50.0  # surely an object
    places[0, 1:, 10, 20] = torch.tensor([-1.0, 0.5])
    point = torch.tensor([[[20.5 * 8 + 0.5 * OFFSET - 0.5, 10.5 * 8 - OFFSET - 0.5]]])
    expected = networks.sam.prompt_encoder.pe_layer.forward_with_coords(point + 0.5, (SIDE, SIDE))
    assert (encoder._code(places, None)[0, :, 10, 20] - expected[0, 0]).abs().max() < 1e-4
    moved = encoder._code(places[..., 10:, 16:], torch.tensor([[80.0, 128.0]]))
    assert (moved[0, :, 0, 4] - expected[0, 0]).abs().max() < 1e-4


def test_a_window_s_prompts_are_those_of_the_frame(networks, monkeypatch):
    monkeypatch.setattr("demo.losses._quick", contextlib.nullcontext)  # as inference is: exact
    embedding = torch.randn(1, WIDTH, 64, 64)
    points = torch.tensor([[300.0, 200.0], [700.0, 900.0]])
    code = networks.sam.prompt_encoder.get_dense_pe()
    logits, ious = prompted(networks.sam, code, embedding, points, torch.zeros(2))
    predictor = SamPredictor(networks.sam)
    predictor.features, predictor.is_image_set = embedding, True
    predictor.input_size = predictor.original_size = (SIDE, SIDE)
    for several in (False, True):
        _, quality, low = predictor.predict_torch(
            points[:, None], torch.ones(2, 1), multimask_output=several, return_logits=True
        )
        assert torch.equal(low, logits[:, int(several) : 1 + 3 * several])
        assert torch.equal(quality, ious[:, int(several) : 1 + 3 * several])
    part = torch.tensor([160.0, 320.0])
    window = embedding[..., 10:42, 20:52]
    logits, _ = prompted(networks.sam, code, window, points[:1], part)
    assert logits.shape == (1, 4, 128, 128)


# What the decoder shall give is what micro-sam expects


def noise_labels(shape, seed):
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 4)
    return pieces((np.digitize(noise, np.quantile(noise, (0.4, 0.6, 0.8)))).astype(np.int32))


@pytest.mark.parametrize("shape", [(90, 120), (64, 64), (1, 30)])
def test_targets_equal_torch_em(shape):
    from torch_em.transform.label import PerObjectDistanceTransform

    for seed in range(4):
        labels = noise_labels(shape, seed)
        found, expected = truth(labels).maps, PerObjectDistanceTransform(min_size=0)(labels)
        assert np.array_equal(found[[0, 2]], expected[[0, 2]])
        # All outline and bent: there its centre is the corner of the box, which may lie outside.
        thin = [one for one in np.unique(labels)[1:] if not found[2][labels == one].any()]
        assert len(thin) < labels.max() / 2 or shape[0] == 1
        sound = ~np.isin(labels, thin)
        assert np.array_equal(found[1][sound], expected[1][sound])


def test_targets_of_nothing():
    maps = truth(np.zeros((8, 9), np.int32)).maps
    assert not maps[0].any() and (maps[1:] == 1).all()


def ais(maps):
    from micro_sam.instance_segmentation import InstanceSegmentationWithDecoder

    segmenter = InstanceSegmentationWithDecoder(None, None)
    names = ("foreground", "center_distances", "boundary_distances")
    segmenter.set_state(dict(zip(names, maps, strict=True)))
    return segmenter.generate()


def through_the_decoder(maps, shape):
    """The maps of a frame's crop, resized as the decoder's logits would be."""
    scale = SIDE / max(shape)
    size = tuple(int(side * scale + 0.5) for side in shape)
    large = functional.interpolate(
        torch.from_numpy(maps)[None], (SIDE, SIDE), mode="bilinear", align_corners=False
    )
    return functional.interpolate(
        large[..., : size[0], : size[1]], shape, mode="bilinear", align_corners=False
    )[0].numpy()


@pytest.mark.parametrize(
    ("style", "least"),
    [
        ("fluorescent_nuclei", 0.95),
        ("phase_contrast_cells", 0.95),
        ("bright_field_organoids", 0.95),
        ("rod_bacteria", 0.5),  # eight pixels wide: AIS smooths their seeds away
    ],
)
def test_true_maps_of_drawn_images_give_the_truth(style, least):
    _, labels = draw(style, 1, 0)
    assert accuracy(labels, ais(truth(pieces(labels)).maps)) > least


@real
def test_true_maps_of_real_images_give_the_truth(plain):
    """By micro-sam's AIS, from maps as they are, and from a crop's at the decoder's resolution."""
    exact, coarse = [], []
    for path in sorted((DATA / "dsb/train/masks").glob("*.tif"))[:12]:
        _, labels = read(DATA / "dsb/train", path.stem)
        exact.append(accuracy(labels, ais(truth(pieces(labels)).maps)))
        frame = crop(picture(labels, labels), Shape(SIDE, 1, 1), NeverMirrored(0))
        maps = through_the_decoder(frame.maps, labels.shape)
        coarse.append(accuracy(labels, ais(maps)))
    assert np.mean(exact) > 0.9
    assert np.mean(coarse) > 0.85


# Training


def same(one, other):
    return all(
        torch.equal(value, again)
        for value, again in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


def trained(collection, first, last, trainer=None, seed=0):
    trainer = trainer or Trainer(Settings(seed=seed, steps=10, warm_up=2, **TINY))
    for step in range(first, last + 1):
        trainer.train(trainer.settings.plan.batches(collection, step))
    return trainer


def test_the_same_seed_gives_the_same_weights(collection):
    one = trained(collection, 1, 3)
    assert same(one.networks, trained(collection, 1, 3).networks)
    assert not same(one.networks, trained(collection, 1, 3, seed=1).networks)
    assert not same(one.networks, one.average)


def test_the_number_of_threads_changes_nothing(collection):
    two = Trainer(Settings(seed=0, steps=10, warm_up=2, **TINY), threads=2)
    assert same(trained(collection, 1, 3).networks, trained(collection, 1, 3, two).networks)


def test_a_step_goes_by_the_mean_over_its_parts(collection):
    trainer = Trainer(Settings(steps=10, norm=1e9, **TINY), threads=2)
    networks = copy.deepcopy(trainer.networks)
    batches = trainer.settings.plan.batches(collection, 1)
    trainer.train(batches)
    sum(losses(networks.sam, networks.decoder, one)[0] / 2 for one in batches).backward()
    for value, expected in zip(trainer.networks.parameters(), networks.parameters(), strict=True):
        if expected.grad is not None:
            assert torch.allclose(value.grad, expected.grad, atol=1e-4)


def test_matrices_are_moved_by_orthogonal_steps_and_the_rest_by_adamw():
    """Muon's step has singular values that are nearly equal, whatever the gradient's are."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(16, 32, 3), torch.nn.Linear(32, 16), torch.nn.Linear(16, 2)
    ).to(memory_format=torch.channels_last)
    before = copy.deepcopy(network)
    steepness = torch.logspace(0, -2, 16)
    for value in network.parameters():
        value.grad = torch.randn_like(value)
    network[1].weight.grad = steepness[:, None] * torch.linalg.qr(torch.randn(32, 16)).Q.T
    Optimizer(network, 0.1, 0.0).step(0.01)
    moved = [new - old for new, old in zip(network.parameters(), before.parameters(), strict=True)]
    convolution, _, linear, _, last, bias = moved
    for step in (convolution.permute(0, 2, 3, 1).reshape(32, -1), linear):
        values = torch.linalg.svdvals(step)
        assert values.min() > 0.4 * values.max()
    for step in (last, bias):  # AdamW's first step: the rate, by the gradient's sign
        assert torch.allclose(step.abs(), torch.tensor(0.01), rtol=1e-3)


def test_a_resumed_training_gives_the_same_weights(collection, tmp_path):
    whole = trained(collection, 1, 4)
    part = trained(collection, 1, 2)
    part.save(tmp_path / "checkpoint.pt", {"losses": [1.0]})
    torch.rand(7)
    resumed = Trainer(Settings(steps=10, warm_up=2, **TINY))
    assert resumed.load(tmp_path / "checkpoint.pt") == {"losses": [1.0]} and resumed.step == 2
    trained(collection, 3, 4, resumed)
    assert same(whole.networks, resumed.networks) and same(whole.average, resumed.average)
    with pytest.raises(UsageError, match=r"other settings \(rate, windows\)"):
        Trainer(Settings(steps=10, warm_up=2, rate=0.5, frames=TINY["frames"], frame_every=2)).load(
            tmp_path / "checkpoint.pt"
        )


def test_a_training_starts_from_weights_of_another(collection, tmp_path):
    first = trained(collection, 1, 2)
    path = tmp_path / output.WEIGHTS
    output.write_weights(path, first.networks)
    second = Trainer(Settings(steps=10, warm_up=2, start="sha256:1", **TINY))
    second.begin(output.read_weights(path))
    stored = first.networks.half().float()
    assert same(stored, second.networks) and same(stored, second.average)
    with pytest.raises(UsageError, match=r"other settings \(start\)"):
        first.save(tmp_path / "checkpoint.pt", {})
        second.load(tmp_path / "checkpoint.pt")
    states = output.read_weights(path)
    smaller = {name: value[:1] for name, value in states["decoder_state"].items()}
    for other, told in (({}, "Missing key"), (smaller, "size mismatch")):
        with pytest.raises(UsageError, match=f"^.*of another network: {told}.*$") as error:
            second.begin(states | {"decoder_state": other})
        assert len(str(error.value)) < 300
    (tmp_path / "other").write_bytes(b"no weights")
    with pytest.raises(UsageError, match="other holds no demo weights to start from"):
        output.read_weights(tmp_path / "other")


def test_every_part_of_the_network_is_trained(collection):
    trainer = Trainer(Settings(steps=10, **TINY))
    total, parts = losses(
        trainer.networks.sam, trainer.networks.decoder, batch(collection, Shape(256, 2, 6), 0, 1, 0)
    )
    total.backward()
    assert all(torch.isfinite(part) for part in parts.values())
    idle = {
        name.split(".weight")[0].split(".bias")[0]
        for name, value in trainer.networks.named_parameters()
        if value.grad is None or not value.grad.any()
    }
    # Prompts that are never given: boxes, masks, points that are not meant.
    assert all("mask_downscaling" in name or "point_embeddings" in name for name in idle), idle


def test_a_batch_depends_on_its_step_alone(collection):
    shape = Shape(256, 3, 2)
    one = batch(collection, shape, 0, 5, 0)
    batch(collection, shape, 0, 6, 0)
    assert all(
        np.array_equal(a, b) for a, b in zip(one, batch(collection, shape, 0, 5, 0), strict=True)
    )
    for seed, step, part in ((0, 6, 0), (1, 5, 0), (0, 5, 1)):
        assert not np.array_equal(one.grey, batch(collection, shape, seed, step, part).grey)


def test_a_few_steps_learn_something(collection):
    trainer = Trainer(
        Settings(rate=5e-4, steps=30, warm_up=5, windows=(256, 1, 4), frame_every=100)
    )
    batches = trainer.settings.plan.batches(collection, 1)
    seen = [trainer.train(batches) for _ in range(12)]
    for name in ("total", "foreground", "center", "boundary", "place", "mask"):
        assert seen[-1][name] < seen[0][name], name


# Images


def dsb(root, number):
    """A folder of drawn images in the layout of dsb."""
    for kind in ("images", "masks"):
        (root / "dsb/train" / kind).mkdir(parents=True)
    for index in range(number):
        grey, labels = draw("fluorescent_nuclei", index, 9, 64)
        tifffile.imwrite(root / f"dsb/train/images/{index:064x}.tif", (grey >> 4).astype(np.uint8))
        tifffile.imwrite(root / f"dsb/train/masks/{index:064x}.tif", labels)
    return root


def test_held_out_and_excluded_images_are_not_trained_on(tmp_path):
    root = dsb(tmp_path, HELD_OUT + 3)
    for kind in ("images", "masks"):
        folder = root / "dsb/train" / kind
        (folder / f"{HELD_OUT + 1:064x}.tif").rename(folder / f"{next(iter(EXCLUDED))}0.tif")
    source = find(root)
    assert len(source.held_out) == HELD_OUT and len(source.names) == 2
    assert not set(source.names) & set(source.held_out)
    with pytest.raises(UsageError, match="holds 0 images that can be used"):
        find(tmp_path / "nowhere")


@real
def test_no_image_that_is_scored_is_trained_on():
    """Neither itself nor its like: turned, of another depth."""
    source = find(DATA)
    used = [*source.names, *source.held_out]
    own = {name: _thumbnail(read(DATA / "dsb/train", name)[0]) for name in used}
    scored = [*(DATA / "dsb/test/images").glob("*.tif"), *(DATA / "u20s/images").glob("*.tif")]
    assert len(scored) >= 50
    others = np.stack([_thumbnail(tifffile.imread(path)).ravel() for path in scored])
    for name, thumbnail in own.items():
        for turns in range(4):
            turned = np.rot90(thumbnail, turns)
            for one in (turned, turned.T):
                assert (others @ one.ravel()).max() < 0.8, name


def _thumbnail(grey):
    from skimage.transform import resize

    small = resize(np.log1p(grey.astype(np.float32) - grey.min()), (64, 64), anti_aliasing=True)
    small -= small.mean()
    return small / np.linalg.norm(small)


def test_the_images_come_from_their_public_source(tmp_path):
    """As the public folder holds them: a colour PNG, and one for each object's mask."""
    from dsb_from_bbbc038 import convert

    names = {"training": ["a1"], "validation": ["b2"], "scored": ["c3"]}
    (tmp_path / "list.json").write_text(json.dumps(names))
    for seed, name in enumerate(("a1", "b2")):
        grey, labels = draw("fluorescent_nuclei", seed, 3, 64)
        grey = (grey >> 4).astype(np.uint8)
        for kind in ("images", "masks"):
            (tmp_path / "source" / name / kind).mkdir(parents=True)
        opaque = np.dstack([grey] * 3 + [np.full_like(grey, 255)])
        Image.fromarray(opaque).save(tmp_path / "source" / name / "images" / f"{name}.png")
        for one in np.unique(labels)[1:]:
            mask = Image.fromarray(np.where(labels == one, 255, 0).astype(np.uint8))
            mask.save(tmp_path / "source" / name / "masks" / f"{one:03d}.png")
    told = list(convert(tmp_path / "source", tmp_path / "root", tmp_path / "list.json"))
    assert told == ["", "", "c3"]
    image, found = read(tmp_path / "root/dsb/train", "b2")
    assert np.array_equal(image, grey) and image.dtype == np.uint8
    assert np.array_equal(pieces(found), pieces(labels))


# The scripts


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_weights(tmp_path):
    root = dsb(tmp_path / "data", HELD_OUT + 4)
    command = [
        sys.executable, str(CHECKOUT / "scripts/train_demo_weights.py"), "--data", str(root),
        "--steps", "60", "--tiny", "--threads", "1", "--checkpoint-every", "20",
        "--revision", "abc",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}

    def run(folder, *more):
        subprocess.run([*command, "--output", str(folder), *more], check=True, env=environment)

    run(tmp_path / "whole", "--threads", "2")
    killed = subprocess.Popen(
        [*command, "--output", str(tmp_path / "killed")], env=environment, stdout=subprocess.PIPE
    )
    for line in killed.stdout:
        if line.startswith(b"30/60"):
            killed.kill()
            break
    killed.wait()
    assert (tmp_path / "killed/checkpoint.pt").exists()
    assert not (tmp_path / "killed" / output.WEIGHTS).exists()
    run(tmp_path / "killed")
    whole, killed = (tmp_path / name / output.WEIGHTS for name in ("whole", "killed"))
    assert whole.read_bytes() == killed.read_bytes()
