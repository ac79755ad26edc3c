"""How the demo weights are trained: reproducibly, whole, and the same after a kill."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from demo import output
from demo.crops import Shape, batch
from demo.losses import _mask_losses as mask_losses
from demo.losses import losses
from demo.optimizer import Optimizer
from demo.pictures import HELD_OUT, Collection, drawn
from demo.trainer import Settings, Trainer
from helpers.demo_model import dsb, same
from helpers.demo_model import one_thread as one_thread
from torch.nn import functional as F  # noqa: N812

from benchmark.errors import UsageError

CHECKOUT = Path(__file__).parents[2]
TINY = {"windows": (256, 2, 2, True), "frames": (512, 1, 2, False), "frame_every": 2}


@pytest.fixture(scope="module")
def collection():
    pictures = [drawn("fluorescent_nuclei", index) for index in range(2)]
    return Collection(pictures, np.array([0.5, 0.5]), 0.3)


# Training


def trained(collection, first, last, trainer=None, seed=0):
    trainer = trainer or Trainer(Settings(seed=seed, steps=10, warm_up=2, **TINY))
    for step in range(first, last + 1):
        trainer.train(trainer.settings.plan.batches(collection, step))
    return trainer


@pytest.fixture(scope="module")
def one(collection):
    return trained(collection, 1, 3)


def test_the_same_seed_gives_the_same_weights(collection, one):
    assert same(one.networks, trained(collection, 1, 3).networks)
    assert not same(one.networks, trained(collection, 1, 3, seed=1).networks)
    assert not same(one.networks, one.average)


def test_the_number_of_threads_changes_nothing(collection, one):
    two = Trainer(Settings(seed=0, steps=10, warm_up=2, **TINY), threads=2)
    assert same(one.networks, trained(collection, 1, 3, two).networks)


def test_a_step_goes_by_the_mean_over_its_parts(collection):
    trainer = Trainer(Settings(steps=10, norm=1e9, **TINY), threads=2)
    networks = copy.deepcopy(trainer.networks)
    batches = trainer.settings.plan.batches(collection, 1)
    trainer.train(batches)
    sum(
        losses(networks.sam, networks.decoder, one, bfloat16=True)[0] / 2 for one in batches
    ).backward()
    for value, expected in zip(trainer.networks.parameters(), networks.parameters(), strict=True):
        if expected.grad is not None:
            assert torch.allclose(value.grad, expected.grad, atol=1e-4)


def test_a_speck_far_from_its_object_costs_although_it_is_nothing_to_a_mean():
    wanted = torch.zeros(1, 128, 128, dtype=torch.bool)
    wanted[:, 20:40, 20:40] = True
    good = F.avg_pool2d(wanted[:, None].float(), 2).expand(1, 4, 64, 64) * 100 - 50
    ious, real = torch.ones(1, 4), torch.ones(1, dtype=torch.bool)

    def speck(row, column):
        logits = good.clone()
        logits[..., row : row + 2, column : column + 2] = 50
        return {k: float(v) for k, v in mask_losses(logits, ious, wanted, real).items()}

    whole = {k: float(v) for k, v in mask_losses(good, ious, wanted, real).items()}
    near, far = speck(21, 21), speck(55, 55)
    assert far["specks"] > 100 * whole["specks"] and near["specks"] == whole["specks"]
    assert far["mask"] - whole["mask"] < 0.1 * (far["specks"] - whole["specks"])


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


@pytest.mark.slow
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
        with pytest.raises(UsageError, match=f"^.*of another network: {told}.*$"):
            second.begin(states | {"decoder_state": other})
    (tmp_path / "other").write_bytes(b"no weights")
    with pytest.raises(UsageError, match="other holds no demo weights to start from"):
        output.read_weights(tmp_path / "other")


def test_every_part_of_the_network_is_trained(collection):
    trainer = Trainer(Settings(steps=10, **TINY))
    total, parts = losses(
        trainer.networks.sam,
        trainer.networks.decoder,
        batch(collection, Shape(256, 3, 6, twin=True), 0, 1, 0),
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


def test_products_are_of_the_type_that_is_asked_for(collection):
    settings = [Settings(steps=10, warm_up=2, bfloat16=quick, **TINY) for quick in (True, False)]
    quick, exact = (trained(collection, 1, 1, Trainer(each)).networks for each in settings)
    assert not same(quick, exact)
    expected = Trainer(settings[1]).networks
    [one, _] = settings[1].plan.batches(collection, 1)
    total, _ = losses(expected.sam, expected.decoder, one, bfloat16=False)
    again = losses(expected.sam, expected.decoder, one)[0]
    rough = losses(expected.sam, expected.decoder, one, bfloat16=True)[0]
    assert total == again != rough
    assert float(rough) == pytest.approx(float(total), rel=0.02)


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
        Settings(rate=5e-4, steps=30, warm_up=5, windows=(256, 1, 4, False), frame_every=100)
    )
    batches = trainer.settings.plan.batches(collection, 1)
    seen = [trainer.train(batches) for _ in range(12)]
    for name in ("total", "foreground", "center", "boundary", "place", "mask"):
        assert seen[-1][name] < seen[0][name], name


def test_the_curve_goes_on_where_the_next_part_begins(tmp_path):
    def part(**loss):
        rows = [{"step": step, "total": 1.0, **loss} for step in (20, 40)]
        validation = [{"step": 40, "images": 1, "ais": 0.5}]
        return {"settings": {"steps": 40}, "losses": rows, "validation": validation}

    logs = [part(), part(specks=0.1), part()]
    whole = output.joined(logs)
    assert [row["step"] for row in whole["losses"]] == [20, 40, 60, 80, 100, 120]
    assert [row["step"] for row in whole["validation"]] == [40, 80, 120]
    assert "specks" in whole["losses"][2] and "specks" not in whole["losses"][1]
    assert logs[1]["losses"][0]["step"] == 20  # what was read is left as it was
    output.write_parts(tmp_path, logs)
    assert output.read_parts(tmp_path) == logs
    output.write_curve(tmp_path / "curve.png", logs)
    assert (tmp_path / "curve.png").stat().st_size > 10_000


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
