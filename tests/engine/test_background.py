"""Work beside the model: in order, never more than a few at once, and no fault is lost."""

import logging
import threading
import time
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.runs import SAMPLES, contents, do, make_job, wait_for
from helpers.segmenters import Traced

from benchmark import background, profiling
from benchmark import run as run_module
from benchmark.background import BackgroundWorker, prefetch
from benchmark.data.prepared import PreparedData
from benchmark.errors import StoreError
from benchmark.store.store import RunWriter
from benchmark.store.tiff import strict_tifffile

pytestmark = pytest.mark.alone


class Thing:
    """What memory is taken for."""


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_no_more_than_so_many_are_read_ahead(depth):
    alive, most = [], []

    def read(item):
        thing = Thing()
        alive.append(weakref.ref(thing))
        return thing

    for item, given in prefetch(read, range(20), depth):
        wait_for(lambda item=item: len(alive) >= min(20, item + depth + 1))
        time.sleep(0.01)  # enough to read everything, were it allowed
        held = given.result()
        del given
        most.append(sum(one() is not None for one in alive))
        assert alive[item]() is held
    assert max(most) == depth + 1, "those ahead, and the one in hand"


def test_what_reading_raises_is_raised_where_it_is_asked_for_and_the_next_goes_on():
    found = []
    for item, given in prefetch(lambda n: 1 // n, [1, 0, 2], depth=2):
        try:
            found.append((item, given.result()))
        except ZeroDivisionError:
            found.append((item, None))
    assert found == [(1, 1), (0, None), (2, 0)]


def test_nothing_is_read_any_more_once_nobody_asks(monkeypatch):
    read, begun, submitted = [], threading.Event(), []

    class Pool(ThreadPoolExecutor):
        def submit(self, *work):
            submitted.append(super().submit(*work))
            return submitted[-1]

    def wait(item):
        read.append(item)
        if item == 1:
            begun.set()
            wait_for(lambda: submitted[2].cancelled(), seconds=60)

    monkeypatch.setattr(background, "ThreadPoolExecutor", Pool)
    reading = prefetch(wait, range(100), depth=3)
    next(reading)
    assert begun.wait(600)
    reading.close()
    assert read == [0, 1], "neither those that waited their turn, nor any after"


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_no_more_than_so_many_wait_to_be_stored(depth):
    """And one that is being given: a giver that waits holds it."""
    release, given, done = threading.Semaphore(0), [], []

    def work(n):
        release.acquire()
        done.append(n)
        return n

    def give():
        with BackgroundWorker(depth) as behind:
            for n in range(20):
                behind.give(lambda n=n: work(n))
                given.append(n)
            behind.finish()

    giver = threading.Thread(target=give)
    giver.start()
    try:
        for n in range(20):
            wait_for(lambda n=n: len(given) >= min(20, n + depth))  # so many do not have to wait
            time.sleep(0.01)
            assert len(given) == min(20, n + depth), "and no more are given"
            release.release()
    finally:
        release.release(20)
    giver.join()
    assert done == list(range(20))


def test_after_a_fault_nothing_more_is_done_and_the_fault_is_told():
    done = []

    def fail():
        time.sleep(0.05)
        raise StoreError("full")

    with pytest.raises(StoreError, match="full"), BackgroundWorker(3) as behind:
        behind.give(lambda: done.append(1))
        behind.give(fail)
        behind.give(lambda: done.append(2))
        behind.finish()
    assert done == [1]


def test_what_is_done_is_told_before_the_queue_is_full():
    with BackgroundWorker(5) as behind:
        assert behind.give(lambda: 1) == []
        wait_for(behind._given[0].done)
        assert behind.give(lambda: 2) == [1]
        behind.finish()


def test_left_by_an_interruption_it_does_what_it_was_given():
    done = []
    with pytest.raises(KeyboardInterrupt), BackgroundWorker(3) as behind:
        for n in range(3):
            behind.give(lambda n=n: time.sleep(0.02) or done.append(n))
        raise KeyboardInterrupt
    assert done == [0, 1, 2]


# --- in the loop


@pytest.fixture
def slow(monkeypatch):
    """Reading and storing that take longer than the model, by turns."""

    def slowed(owner, name, seconds):
        real, turns = getattr(owner, name), iter(seconds * 20)

        def run(self, *args, **kwargs):
            time.sleep(next(turns))
            return real(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, run)

    slowed(PreparedData, "read", [0.06, 0.0, 0.0])
    slowed(RunWriter, "append", [0.0, 0.08])
    slowed(RunWriter, "append_scores", [0.03, 0.0, 0.0])


def test_however_long_reading_and_storing_take_the_run_says_the_same(prepared, root, slow):
    undisturbed = make_job(prepared)
    assert do(make_job(root)).complete
    job = make_job(root)
    assert contents(job.store, job.score_key) == contents(undisturbed.store, undisturbed.score_key)


def test_with_random_models_and_failures_too(root, tmp_path_factory, slow, monkeypatch):
    monkeypatch.setenv("ODD", f"{SAMPLES[2]}=raise")
    other = tmp_path_factory.mktemp("other")
    found = []
    for folder, depth in ((root, 1), (other, 3)):
        monkeypatch.setattr(run_module, "PREFETCHED", depth)
        monkeypatch.setattr(run_module, "UNSTORED", depth)
        job = make_job(folder, draw=True, max_failures=1)
        outcome = do(job)
        assert (outcome.done, set(outcome.failed)) == (3, {SAMPLES[2]})
        told = contents(job.store, job.score_key)
        for record in told[0].values():
            record.pop("traceback")  # its line numbers stay, but other threads may be in it
        found.append(told)
    assert found[0] == found[1]


def test_reading_and_storing_happen_while_the_model_works(root, monkeypatch):
    began = {
        kind: [threading.Event() for _ in SAMPLES] for kind in ("reading ahead", "storing behind")
    }

    def watch(owner, name):
        real = getattr(owner, name)

        def run(self, one, *more):
            kind = threading.current_thread().name.rpartition("_")[0]
            began[kind][SAMPLES.index(getattr(one, "id", None) or one.sample)].set()
            return real(self, one, *more)

        monkeypatch.setattr(owner, name, run)

    watch(PreparedData, "read")
    watch(RunWriter, "append")

    def predict(self, image):
        number = SAMPLES.index(self.sample)
        if number + 1 < len(SAMPLES):
            assert began["reading ahead"][number + 1].wait(120), "it waits for the model"
        if number:
            assert began["storing behind"][number - 1].wait(120), "it waits for the model"
        return np.zeros((64, 64), np.uint16)

    monkeypatch.setattr(Traced, "predict", predict)
    assert do(make_job(root)).complete


def test_seconds_are_the_model_s_alone(root, monkeypatch):
    """By a clock that goes on by so much wherever the model's thread works or waits."""
    clock, own = [0.0], threading.current_thread()

    def takes(owner, name, seconds):
        real = getattr(owner, name)

        def run(self, *args, **kwargs):
            if threading.current_thread() is own:
                clock[0] += seconds
            return real(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, run)

    takes(Traced, "predict", 0.25)
    for owner, name in ((PreparedData, "read"), (RunWriter, "append"), (Future, "result")):
        takes(owner, name, 100.0)
    monkeypatch.setattr(profiling, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    job = make_job(root)
    do(job)
    assert [record.seconds for record in job.store.records().values()] == [0.25] * len(SAMPLES)
    assert clock[0] > 100, "it has waited for what was read"


def test_a_fault_of_the_disk_ends_the_run_before_long(root, monkeypatch, tmp_path):
    monkeypatch.setenv("TRACE", str(tmp_path / "trace"))
    monkeypatch.setenv("SECONDS", "0.05")

    def full(*_):
        raise StoreError("can't write: full")

    monkeypatch.setattr(RunWriter, "append", full)
    with pytest.raises(StoreError, match="full"):
        do(make_job(root))
    started = (tmp_path / "trace").read_text().count("start")
    assert started < len(SAMPLES), "it is told before the queue is full"


def test_a_model_that_uses_its_array_again_spoils_no_stored_prediction(root):
    job = make_job(root, target=f"{__name__}.Reusing")
    do(job)
    for number, sample in enumerate(SAMPLES, start=1):
        assert set(np.unique(job.store.prediction(job.store.records()[sample]))) == {number}


class Reusing:
    def __init__(self):
        self.array, self.number = np.zeros((64, 64), np.uint16), 0

    def predict(self, image):
        self.number += 1
        self.array[:] = self.number
        return self.array


def test_each_thread_collects_the_errors_of_its_own_files():
    logger, raised, ready = logging.getLogger("tifffile"), {}, threading.Barrier(2)

    def read(name):
        try:
            with strict_tifffile():
                ready.wait()
                if name == "bad":
                    logger.error("corrupted strip")
                ready.wait()
        except ValueError as error:
            raised[name] = str(error)

    threads = [threading.Thread(target=read, args=(name,)) for name in ("good", "bad")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == {"bad": "corrupted strip"}
