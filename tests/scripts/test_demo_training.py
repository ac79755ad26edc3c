"""How the demo weights are trained: reproducibly, whole, and the same after a kill."""

import copy
import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from demo import history, train
from demo.crops import Shape, batch
from demo.losses import SHARPNESS, losses
from demo.losses import _mask_losses as mask_losses
from demo.losses import _twin_losses as twin_losses
from demo.optimizer import Optimizer
from demo.pictures import HELD_OUT, collect, find
from demo.trainer import MASKS, Settings, Trainer, on_boxes
from demo.turns import COUNT, turned_maps
from helpers.demo_model import DATA, dsb, real, same
from helpers.demo_model import collection as collection
from helpers.demo_model import one_thread as one_thread
from torch.nn import functional as F  # noqa: N812

from benchmark.errors import ModelError, UsageError

pytestmark = pytest.mark.alone

CHECKOUT = Path(__file__).parents[2]
NET = json.loads((CHECKOUT / "tests/net/demo_training.json").read_text())


def tiny(**others):
    """Crops so small that a test can train."""
    sizes = {"windows": Shape(256, 2, 2, twin=True), "frames": Shape(512, 1, 2), "frame_every": 2}
    return Settings(**{"steps": 10, "warm_up": 2, **sizes, **others})


def trained(collection, last, trainer=None, first=1):
    trainer = trainer or Trainer(tiny())
    for step in range(first, last + 1):
        trainer.train(trainer.settings.batches(collection, step))
    return trainer


# Steps


@real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "others"),
    [
        ("random", {}),
        ("demo", {"bfloat16": False, "rate": 8e-4, "steps": 1500}),
        ("boxes", {"bfloat16": False, "rate": 1e-3, "steps": 400}),
    ],
)
def test_the_first_steps_on_the_real_images_are_what_they_were(start, others):
    """To the bit, where libraries and processor are those of the stored digests."""
    here = {"processor": torch.backends.cpu.get_cpu_capability()}
    here |= {name: version(name) for name in NET["environment"] if name not in here}
    if here != NET["environment"]:
        pytest.skip(f"the stored digests are of {NET['environment']}, this is {here}")
    weights = None if start == "random" else train.weights_to_begin_with("demo")
    settings = Settings(**others, start=weights.digests["weights"] if weights else "")
    settings = on_boxes(settings) if start == "boxes" else settings
    trainer = Trainer(settings, 1, weights)
    trained(collect(find(DATA), settings.share_drawn), NET["steps"], trainer)
    assert {
        "networks": digest(trainer.networks), "average": digest(trainer.average)
    } == NET["digests"][start]  # fmt: skip


def digest(networks):
    found = hashlib.sha256()
    for value in networks.state_dict().values():
        found.update(value.contiguous().numpy().tobytes())
    return found.hexdigest()


@pytest.fixture(scope="module")
def one(collection):
    return trained(collection, 3)


def test_weights_depend_on_the_seed_alone_not_on_threads(collection, one):
    assert same(one.networks, trained(collection, 3, Trainer(tiny(), threads=2)).networks)
    assert not same(one.networks, trained(collection, 3, Trainer(tiny(seed=1))).networks)
    assert not same(one.networks, one.average)


def test_parts_that_run_side_by_side_share_no_step_of_the_gradient(collection):
    """Else gradients are added up in an order that depends on threads, and differ in a last bit."""
    trainer = Trainer(tiny())
    networks = trainer.networks
    contexts, elsewhere = [], []

    def product():
        """As of another part, which is not at its end."""
        contexts.append(torch.autocast("cpu", torch.bfloat16))
        contexts[-1].__enter__()
        for value in networks.sam.mask_decoder.parameters():
            if value.ndim == 2:
                elsewhere.append(F.linear(torch.zeros(1, value.shape[1]), value))

    with ThreadPoolExecutor(1) as other:
        networks.sam.mask_decoder.transformer.register_forward_pre_hook(
            lambda *_: other.submit(product).result()
        )
        [one, _] = trainer.settings.batches(collection, 1)
        total, _ = losses(networks.sam, networks.decoder, one, True)
    assert elsewhere
    assert not steps(total) & set().union(*map(steps, elsewhere))


def steps(value):
    """The nodes of the graph that a gradient goes through, save those of the parameters."""
    found, ahead = set(), [value.grad_fn]
    while ahead:
        node = ahead.pop()
        if node not in found and not node.name().endswith("AccumulateGrad"):
            found.add(node)
            ahead += [before for before, _ in node.next_functions if before is not None]
    return found


def test_a_step_goes_by_the_mean_over_its_parts(collection):
    trainer = Trainer(tiny(norm=1e9), threads=2)
    networks = copy.deepcopy(trainer.networks)
    batches = trainer.settings.batches(collection, 1)
    trainer.train(batches)
    sum(losses(networks.sam, networks.decoder, one, True)[0] / 2 for one in batches).backward()
    for value, expected in zip(trainer.networks.parameters(), networks.parameters(), strict=True):
        if expected.grad is not None:
            assert torch.allclose(value.grad, expected.grad, atol=1e-4)


def test_products_are_of_the_type_that_is_asked_for(collection):
    networks = Trainer(tiny()).networks
    [one, _] = tiny().batches(collection, 1)
    exact, again, rough = (
        losses(networks.sam, networks.decoder, one, quick)[0].item()
        for quick in (False, False, True)
    )
    assert exact == again != rough == pytest.approx(exact, rel=0.02)


def test_a_few_steps_learn_something(collection):
    settings = tiny(rate=5e-4, steps=30, warm_up=5, windows=Shape(256, 1, 4), frame_every=100)
    trainer, batches = Trainer(settings), settings.batches(collection, 1)
    seen = [trainer.train(batches) for _ in range(12)]
    for name in ("total", "foreground", "center", "boundary", "place", "mask"):
        assert seen[-1][name] < seen[0][name], name


def test_every_part_of_the_network_is_trained(collection):
    networks = Trainer(tiny()).networks
    crops = batch(collection, Shape(256, 3, 6, twin=True), 0, 1, 0)
    total, parts = losses(networks.sam, networks.decoder, crops)
    total.backward()
    assert all(torch.isfinite(part) for part in parts.values())
    idle = {
        name.split(".weight")[0].split(".bias")[0]
        for name, value in networks.named_parameters()
        if value.grad is None or not value.grad.any()
    }
    # Prompts that are never given: boxes, masks, points that are not meant.
    assert all("mask_downscaling" in name or "point_embeddings" in name for name in idle), idle


def test_boxes_train_what_points_alone_do_not(collection):
    networks = Trainer(tiny()).networks
    crops = batch(collection, Shape(256, 6, 4, boxes=True), 0, 1, 0)
    assert set(crops.kinds.tolist()) == {0, 1, 2}
    total, _ = losses(networks.sam, networks.decoder, crops)
    total.backward()
    corners = networks.sam.prompt_encoder.point_embeddings[2:]
    assert all(one.weight.grad.any() for one in corners)


def test_a_training_on_boxes_moves_the_mask_decoder_alone(collection):
    start = train.weights_to_begin_with("demo")
    shapes = {"windows": Shape(256, 2, 2, boxes=True), "frames": Shape(512, 1, 2, boxes=True)}
    settings = replace(on_boxes(tiny()), **shapes, start=start.digests["weights"])
    before = Trainer(settings, 1, start).networks.state_dict()
    one = trained(collection, 3, Trainer(settings, 1, start))
    assert same(one.networks, trained(collection, 3, Trainer(settings, 2, start)).networks)
    for networks in (one.networks, one.average):
        after = networks.state_dict()
        moved = {name for name in before if not torch.equal(before[name], after[name])}
        assert moved == {name for name in before if name.startswith(MASKS)}


def test_matrices_are_moved_by_orthogonal_steps_and_the_rest_by_adamw():
    """Muon's step has singular values that are nearly equal, whatever the gradient's are."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(16, 32, 3), torch.nn.Linear(32, 16), torch.nn.Linear(16, 2)
    )
    with pytest.raises(ValueError, match="channels last"):
        Optimizer(network, 0.1, 0.0)
    network = network.to(memory_format=torch.channels_last)
    before = copy.deepcopy(network)
    for value in network.parameters():
        value.grad = torch.randn_like(value)
    steepness = torch.logspace(0, -2, 16)
    network[1].weight.grad = steepness[:, None] * torch.linalg.qr(torch.randn(32, 16)).Q.T
    Optimizer(network, 0.1, 0.0).step(0.01)
    moved = [new - old for new, old in zip(network.parameters(), before.parameters(), strict=True)]
    convolution, _, linear, _, last, bias = moved
    for step in (convolution.permute(0, 2, 3, 1).reshape(32, -1), linear):
        values = torch.linalg.svdvals(step)
        assert values.min() > 0.4 * values.max()
    for step in (last, bias):  # AdamW's first step: the rate, by the gradient's sign
        assert torch.allclose(step.abs(), torch.tensor(0.01), rtol=1e-3)


# Losses


def test_a_speck_far_from_its_object_costs_although_it_is_nothing_to_a_mean():
    wanted = torch.zeros(1, 128, 128, dtype=torch.bool)
    wanted[:, 20:40, 20:40] = True
    good = F.avg_pool2d(wanted[:, None].float(), 2).expand(1, 4, 64, 64) * 100 - 50
    ious, meant = torch.ones(1, 4), torch.ones(1, dtype=torch.bool)

    def cost(*speck):
        logits = good.clone()
        for row, column in speck:
            logits[..., row : row + 2, column : column + 2] = 50
        return {k: float(v) for k, v in mask_losses(logits, ious, wanted, meant).items()}

    whole, near, far = cost(), cost((21, 21)), cost((55, 55))
    assert far["specks"] > 100 * whole["specks"] and near["specks"] == whole["specks"]
    assert far["mask"] - whole["mask"] < 0.1 * (far["specks"] - whole["specks"])


def test_only_answers_that_turn_with_the_crop_cost_nothing():
    draws = torch.Generator().manual_seed(0)
    # As sure as a mask can be, edges far from ambiguous.
    first = 20 * SHARPNESS * torch.randn((3, 4, 8, 8), generator=draws).sign()
    maps = torch.randn((3, 8, 8), generator=draws)
    other = torch.randn((3, 4, 8, 8), generator=draws)
    meant = torch.tensor([[True] * 3] * 3)

    def loss(second, maps_of_second, turn, meant=meant):
        stacked = torch.stack([maps * 0, maps, maps_of_second])
        found = twin_losses([other, first, second], stacked, meant, [0, 0, turn])
        return {name: float(value) for name, value in found.items()}

    nothing = pytest.approx({"twin_masks": 0, "twin_maps": 0}, abs=1e-6)
    for turn in range(1, COUNT):
        assert loss(turned_maps(first, turn), turned_maps(maps, turn), turn) == nothing
        wrong = loss(first, maps, turn)
        assert wrong["twin_masks"] > 0.1 and wrong["twin_maps"] > 0.01
        # Of a point in the background no mask is right.
        changed = turned_maps(first, turn).clone()
        changed[1] *= -1
        half = meant.clone()
        half[2, 1] = False
        assert loss(changed, maps, turn)["twin_masks"] > 0.1
        assert loss(changed, maps, turn, half)["twin_masks"] == pytest.approx(0, abs=1e-6)
    assert loss(first, maps, 0) == nothing  # no twin
    assert np.isfinite(loss(first, maps, 1, ~meant)["twin_masks"])  # no points


# Parts


@pytest.fixture
def often(monkeypatch):
    """What happens every hundreds of steps happens every second one, and to two images."""
    for name in ("LOG_EVERY", "CHECKPOINT_EVERY", "VALIDATE_EVERY", "VALIDATED"):
        monkeypatch.setattr(train, name, 2)


def test_a_checkpoint_is_continued_with_its_own_settings_alone(collection, tmp_path):
    path = tmp_path / train.CHECKPOINT
    trained(collection, 2).save(path, {"rows": [1.0]})
    torch.rand(7)
    resumed = Trainer(tiny())
    assert resumed.load(path) == {"rows": [1.0]} and resumed.step == 2
    whole = trained(collection, 4)
    trained(collection, 4, resumed, first=3)
    assert same(whole.networks, resumed.networks) and same(whole.average, resumed.average)
    with pytest.raises(UsageError, match=r"other settings \(rate, start, windows\)"):
        Trainer(tiny(rate=0.5, windows=Shape(256, 1, 2), start="sha256:1")).load(path)


def test_a_part_begins_with_the_weights_of_the_one_before_and_continues_its_history(
    tmp_path, often
):
    source = find(dsb(tmp_path / "data", HELD_OUT + 2))
    source = replace(source, held_out=source.held_out[:3])
    settings = tiny(steps=4)
    train.train(source, tmp_path / "first", settings, modes=("ais",))
    start = train.weights_to_begin_with(str(tmp_path / "first" / train.WEIGHTS))
    begun = Trainer(settings, 1, start)
    assert same(begun.networks, begun.average)
    assert begun.networks.write(tmp_path / "again") == start.digests["weights"]

    further = tiny(steps=2, start=start.digests["weights"])
    train.train(source, tmp_path / "second", further, start=start, modes=("ais",))
    parts = json.loads((tmp_path / "second/parts.json").read_text())
    assert parts[0] == json.loads((tmp_path / "first/parts.json").read_text())[0]
    assert parts[0]["digest"] == parts[1]["settings"]["start"]
    curve = pd.read_csv(tmp_path / "second/curve.csv")
    steps = curve.dropna(subset="total")[["part", "step"]]
    assert steps.values.tolist() == [[1, 2], [1, 4], [2, 2]]
    scores = curve.dropna(subset="ais")[["part", "step", "images"]]
    assert scores.values.tolist() == [[1, 2, 2], [1, 4, 3], [2, 2, 3]]
    assert (tmp_path / "second/curve.png").stat().st_size > 10_000
    images = json.loads((tmp_path / "second/images.json").read_text())
    assert images["training"] == list(source.names)
    # Weights that are not the last of the history beside them continue none.
    other = train.weights_to_begin_with(str(tmp_path / "first/step_2.safetensors"))
    assert history.ending_with(start).parts and not history.ending_with(other).parts


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save({"model_state.a": torch.zeros(1)}, tmp_path / "other.pt")
    (tmp_path / "bad.safetensors").write_bytes(b"x")
    for name, reason in (("other.pt", "another architecture"), ("bad.safetensors", "damaged")):
        start = train.weights_to_begin_with(str(tmp_path / name))
        with pytest.raises(ModelError, match=rf"{name} can't be loaded: .*{reason}"):
            Trainer(tiny(), 1, start)
    for name, reason in (
        ("vit_b_lm", "a published model"),
        ("/nowhere", "neither a file nor"),
        ("demo_boxes", "several files"),
    ):
        with pytest.raises(UsageError, match=reason):
            train.weights_to_begin_with(name)


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_weights(tmp_path):
    root = dsb(tmp_path / "data", HELD_OUT + 4)
    program = f"""
import sys
from pathlib import Path
from demo import train
from demo.crops import Shape
from demo.pictures import find
from demo.trainer import Settings

train.LOG_EVERY, train.CHECKPOINT_EVERY = 5, 20
settings = Settings(steps=40, windows=Shape(256, 2, 2, True), frames=Shape(256, 1, 2))
train.train(find(Path({str(root)!r})), Path(sys.argv[1]), settings, modes=())
"""
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{CHECKOUT / 'scripts'}"}

    def start(folder):
        command = [sys.executable, "-c", program, str(tmp_path / folder)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)

    assert start("whole").wait() == 0
    killed = start("killed")
    for line in killed.stdout:
        if line.startswith(b"25/40"):
            killed.kill()
            break
    killed.wait()
    assert not (tmp_path / "killed" / train.WEIGHTS).exists()
    again, _ = (resumed := start("killed")).communicate()
    assert resumed.returncode == 0 and b"resumed at step 20" in again
    whole, killed = (tmp_path / name / train.WEIGHTS for name in ("whole", "killed"))
    assert whole.read_bytes() == killed.read_bytes()
    whole, killed = (pd.read_csv(path.parent / "curve.csv") for path in (whole, killed))
    pd.testing.assert_frame_equal(whole.drop(columns="seconds"), killed.drop(columns="seconds"))
