"""`scripts/check_gpu.py` on a CPU: small models, and a device whose memory can be limited."""

from __future__ import annotations

import contextlib
import inspect
from functools import partial

import check_gpu
import numpy as np
import pytest
import torch
from gpu_checks import checks
from gpu_checks.findings import Finding, Report, UncheckedError, Verdict, held
from gpu_checks.precisions import precisions
from gpu_checks.prompted_sam import PromptedSam
from gpu_checks.subjects import SUBJECTS, Subject
from helpers import small_sam3
from helpers.adapters import drawn

from benchmark.errors import ModelError
from models.common.torch_adapter import TorchAdapter

MIB = checks.MIB
SMALL = ["--device", "cpu", "--size", "96", "--images", "3"]


def random_weights(adapter, make, folder):
    path = folder / adapter.__name__
    if not path.exists():
        make(path)
    return adapter.find_weights(str(path)).fetch()


def small_sam(path):
    """transformers' SAM in small, at random."""
    from transformers import SamConfig, SamModel

    side = {"image_size": 64, "patch_size": 8}
    vision = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_dim": 64,
              "output_channels": 32, "window_size": 4, "global_attn_indexes": [1],
              "num_pos_feats": 16, "initializer_range": 0.02}  # fmt: skip
    prompts = {"hidden_size": 32, "image_embedding_size": 8, "mask_input_channels": 4}
    masks = {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = {"vision_config": vision | side, "prompt_encoder_config": prompts | side}
        model = SamModel(SamConfig(**parts, mask_decoder_config=masks))
    with torch.no_grad():
        for network in model.mask_decoder.output_hypernetworks_mlps:
            network.proj_out.weight *= 300
    model.save_pretrained(path)


SAM3 = Subject(
    "small_sam3", small_sam3.SmallSam3,
    partial(random_weights, small_sam3.SmallSam3, small_sam3.make_checkpoint),
    ("Sam3VisionModel", "Sam3MaskDecoder"), {"threshold": small_sam3.UNSURE},
)  # fmt: skip
PROMPTED = Subject(
    "small_prompted", PromptedSam, partial(random_weights, PromptedSam, small_sam),
    ("SamVisionEncoder", "SamMaskDecoder"), {"points_per_side": 4},
)  # fmt: skip


def small_apg():
    pytest.importorskip("micro_sam")
    from helpers.small_musam import SmallAPG, make_checkpoint

    networks = ("ImageEncoderViT", "DecoderAdapter", "MLP")
    return Subject(
        "apg", SmallAPG, partial(random_weights, SmallAPG, make_checkpoint), networks, {}
    )


def verdicts(check, trial):
    """What a check found, by what it looked at; the reason if it stopped."""
    found = {}
    with contextlib.suppress(UncheckedError):
        for finding in check(trial):
            found[finding.what] = finding.verdict
    return found


@small_sam3.needs_sam3
@pytest.mark.parametrize("subject", [lambda: SAM3, lambda: PROMPTED, small_apg])
def test_adapters_pass_on_a_cpu_and_what_needs_a_gpu_is_not_checked(subject, capsys):
    subject = subject()
    assert check_gpu.main(SMALL, [subject]) == 0
    out = capsys.readouterr().out
    for network in subject.networks:
        assert f"ok          outputs of {network}" in out
    assert "measured    throughput" in out
    assert f"not checked: {subject.name}: idle share" in out
    if "precision" in inspect.signature(subject.adapter).parameters:
        assert "ok          bfloat16 is recorded and undone" in out
        assert "ok          bfloat16 computes what the default does" in out
        assert f"not checked: {subject.name}: precision: tf32" in out
    else:
        assert f"not checked: {subject.name}: precision" in out
    assert f"not checked: {subject.name}: out of memory" in out


@small_sam3.needs_sam3
def test_labels_of_small_models_are_compared(tmp_path):
    trial = checks.Trial(SAM3, "cpu", tmp_path, size=96, images=1)
    assert verdicts(checks.parity, trial)["labels"] is Verdict.PASSED


class Drifting(small_sam3.SmallSam3):
    """Computes something else from its second instance on, as a faulty device would."""

    built = 0

    def __init__(self, *words, **named):
        super().__init__(*words, **named)
        type(self).built += 1
        if self.built > 1:
            with torch.no_grad():
                for value in self._model.vision_encoder.parameters():
                    value *= 1.5


@small_sam3.needs_sam3
def test_a_device_that_computes_something_else_fails(tmp_path):
    subject = SAM3._replace(adapter=Drifting)
    trial = checks.Trial(subject, "cpu", tmp_path, size=96, images=1)
    found = verdicts(checks.parity, trial)
    assert found["outputs of Sam3VisionModel"] is Verdict.FAILED


def test_a_network_that_is_never_called_fails(tmp_path):
    subject = Subject("flat", Flat, lambda _: None, ("NoSuchNetwork",), {})
    trial = checks.Trial(subject, "cpu", tmp_path, size=96, images=1)
    assert verdicts(checks.parity, trial)["outputs of NoSuchNetwork"] is Verdict.FAILED


@small_sam3.needs_sam3
def test_a_precision_that_is_not_recorded_or_computes_something_else_fails(tmp_path):
    class Silent(small_sam3.SmallSam3):
        def __init__(self, *words, precision="default", **named):
            super().__init__(*words, **named)
            if precision != "default":
                self.predict = self._broken

        def _broken(self, image):
            with torch.no_grad():
                for value in self._model.parameters():
                    value *= float("nan")
            labels = small_sam3.SmallSam3.predict(self, image)
            self.details["precision"] = "default"
            return labels

    trial = checks.Trial(SAM3._replace(adapter=Silent), "cpu", tmp_path, size=96, images=2)
    found = verdicts(precisions, trial)
    assert found["bfloat16 is recorded and undone"] is Verdict.FAILED
    assert found["bfloat16 computes what the default does"] is Verdict.FAILED


class Flat:
    """Everything is background."""

    requires = ()

    def __init__(self, weights, device):
        self.stages, self.stage_memory, self.details = {"all": 1e-9}, {}, {}

    def predict(self, image):
        return np.zeros(image.shape[:2], np.uint8)


def test_a_missing_library_is_not_checked_and_no_failure(capsys):
    missing = type("Missing", (Flat,), {"requires": ("no-such-library>=1",)})
    assert check_gpu.main(SMALL, [Subject("missing", missing, lambda _: None, (), {})]) == 0
    out = capsys.readouterr().out
    assert "library missing: no-such-library>=1 is not installed" in out


def test_a_section_that_fails_is_shown_and_the_rest_is_run(capsys):
    report = Report(60)

    def broken():
        yield held("first", True, "")
        raise RuntimeError("the driver is gone")

    report.run("one", broken)
    report.run("two", lambda: [held("second", True, "")])
    assert report.failed
    assert [f.verdict for _, f in report.findings] == ["ok", "FAILED", "ok"]
    assert "RuntimeError: the driver is gone" in report.summary()
    assert "ok          second" in capsys.readouterr().out


def test_a_failed_check_is_the_exit_status(monkeypatch, capsys):
    monkeypatch.setattr(check_gpu, "machine", lambda device: [held("CUDA", False, "none")])
    assert check_gpu.main(SMALL, []) == 1
    assert "FAILED: machine: CUDA: none" in capsys.readouterr().out


def test_without_time_left_a_section_is_not_checked():
    report = Report(-1)
    report.run("late", lambda: pytest.fail("it began"))
    [(_, finding)] = report.findings
    assert finding.verdict is Verdict.UNCHECKED and not report.failed


@pytest.mark.parametrize(
    ("words", "message"), [(["--only", "sam4"], "sam3"), (["--images", "1"], "at least two")]
)
def test_an_unknown_adapter_and_a_single_image_are_refused(words, message, capsys):
    with pytest.raises(SystemExit) as end:
        check_gpu.main([*SMALL, *words])
    assert end.value.code == 2 and message in capsys.readouterr().err


class Limited:
    """A device of 1,000 MiB; the model's weights take 100."""

    def __init__(self):
        self.limit = 1000 * MIB

    def total(self):
        return 1000 * MIB

    def allocated(self):
        return 100 * MIB

    @contextlib.contextmanager
    def limited(self, size):
        before, self.limit = self.limit, size
        yield
        self.limit = before


DEVICE = Limited()


class Batched(TorchAdapter):
    """Takes 20 MiB besides its weights, and 10 for each prompt of a batch."""

    requires = ()
    halves = explains = True

    def __init__(self, weights, device, batch_size=4):
        super().__init__("cpu")
        self._asked = batch_size
        if DEVICE.limit < 200 * MIB and self.explains:
            raise ModelError("out of memory while the model was loaded")

    def predict(self, image):
        def run(size):
            if (120 + 10 * size) * MIB > DEVICE.limit:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return np.ones(image.shape[:2], np.uint8)

        with self.predicting():
            self.details["batch_size"] = self._asked
            labels = self.halving(run, self._asked) if self.halves else run(self._asked)
            sizes = {"encode": 120, "prompt": 120 + 10 * self.details["batch_size"]}
            self.stage_memory |= {name: {"device": size * MIB} for name, size in sizes.items()}
        return labels


def on_a_small_device(adapter, tmp_path, crowd):
    subject = Subject("batched", adapter, lambda _: None, (), {}, crowd=crowd)
    trial = checks.Trial(subject, "cpu", tmp_path, size=96, images=2, memory=DEVICE)
    return checks.out_of_memory(trial)


def test_halving_recovery_and_loading_are_checked_on_a_small_device(tmp_path):
    found = list(on_a_small_device(Batched, tmp_path, {"batch_size": 64}))
    assert [finding.verdict for finding in found] == [Verdict.PASSED] * 5
    assert "'batch_size_asked': 64" in found[0].detail


def test_what_does_not_halve_or_explain_is_found(tmp_path):
    whole = type("Whole", (Batched,), {"halves": False})
    with pytest.raises(torch.OutOfMemoryError):
        list(on_a_small_device(whole, tmp_path, {"batch_size": 64}))
    silent = type("Silent", (Batched,), {"explains": False})
    found = list(on_a_small_device(silent, tmp_path, None))
    assert [finding.verdict for finding in found] == ["ok", "ok", "FAILED"]


@small_sam3.needs_sam3
def test_the_harness_runs_a_model_that_is_loaded_already(tmp_path):
    trial = checks.Trial(PROMPTED, "cpu", tmp_path, size=96, images=2)
    job = trial.job("runs")
    assert checks.run_harness(job, trial.model).complete
    assert all(record.seconds > 0 for record in job.store.records().values())


@pytest.mark.parametrize(
    ("spans", "length"),
    [([], 0), ([(0, 2)], 2), ([(5, 6), (0, 2)], 3), ([(0, 4), (1, 2), (3, 6)], 6)],
)
def test_overlapping_spans_count_once(spans, length):
    assert checks.covered(spans) == length


def test_agreement_counts_pixels_in_the_same_objects():
    a = np.zeros((10, 10), np.uint16)
    a[:4, :5], a[6:, :5] = 1, 2
    assert checks.agreement(a, a.astype(np.uint32) * 7) == 1
    moved = np.where(a == 2, 0, a)
    assert checks.agreement(a, moved) == 0.5
    assert checks.agreement(a, np.zeros_like(a)) == 0
    assert checks.agreement(np.zeros_like(a), np.zeros_like(a)) == 1


def test_difference_is_relative_and_infinite_where_nothing_can_be_compared():
    one = np.full((2, 3), 2.0)
    assert checks.difference([one], [one * 1.5]) == pytest.approx(0.5)
    assert checks.difference([one, one], [one, one * 1.25]) == pytest.approx(0.25)
    for other in ([], [one.T], [one * np.nan]):
        assert checks.difference([one], other) == float("inf")
    assert checks.difference([], []) == float("inf")


@small_sam3.needs_sam3
@pytest.mark.parametrize("shape", [(40, 60), (60, 40, 3), (64, 64)])
def test_prompts_of_the_stand_in_lie_where_the_image_has_them(shape, tmp_path):
    model = PROMPTED.build(PROMPTED.weights(tmp_path), "cpu")
    labels = model.predict(drawn(shape))
    assert labels.shape == shape[:2] and labels.any()
    predictor = model._predictor
    corner = predictor.apply_coords(np.array([[shape[1], shape[0]]]), predictor.original_size)
    scale = 64 / max(shape[:2])
    assert corner.tolist() == [[round(shape[1] * scale), round(shape[0] * scale)]]


def test_every_real_subject_names_an_adapter_and_its_networks():
    assert len({subject.name for subject in SUBJECTS}) == len(SUBJECTS)
    for subject in SUBJECTS:
        assert subject.networks and subject.adapter.requires and 0 < subject.tolerance < 0.1


def test_findings_print_their_first_line(capsys):
    Report(9).run("one", lambda: [Finding("what", Verdict.MEASURED, "a\nb")])
    assert "measured    what: a ..." in capsys.readouterr().out


def test_the_clock_is_checked_on_cuda_alone():
    with pytest.raises(UncheckedError, match="CUDA only"):
        list(check_gpu.clock("cpu"))
