"""The benchmark: what its file holds, that it refuses a contender that does other work, what its report says."""

import copy
import json
from functools import partial

import bench
import contenders
import keras
import numpy as np
import peak_memory
import pytest
import report
from contenders import CONTENDERS, Case

TINY = (3, 4, 2, 5)
QUARTILED = ("milliseconds", "times_as_fast_as_keras", "times_as_fast_as_torch")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    file = tmp_path_factory.mktemp("bench") / "tiny.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "plan", lambda quick: ([Case(TINY, "mask")], [Case(TINY)]))
        patch.setattr(bench, "GEMM_SIZE", 64)
        patch.setattr(bench, "GROWING", ("keras",))
        bench.main(["--quick", "--seconds", "0", "--output", str(file)])
    return json.loads(file.read_text())


def test_the_file_holds_every_contender_and_where_it_was_measured(measured):
    assert set(measured) == {"provenance", "gemm_gflops", "cases", "growth"}
    assert {"cpu", "cores", "gpus", "load_average", "commit", "command", "time"} < set(measured["provenance"])
    assert {"python", "tensorflow", "keras", "numpy", "torch", "onnxruntime"} == set(measured["provenance"]["versions"])
    (training,) = measured["cases"]
    torch = {"torch"} if contenders.torch else set()
    assert set(training["results"]) == set(CONTENDERS) - {"onnxruntime", "torch"} | torch
    assert set(measured["growth"][0]["results"]) == {"keras"}


@pytest.mark.parametrize("variant", ["mask", "reset before"])
def test_onnxruntime_takes_part_at_inference(variant):
    measured = bench.measure(Case(TINY, variant, training=False), 0, ("keras", "onnxruntime"))
    assert set(measured["results"]) == {"keras", "onnxruntime"}


def test_the_numbers_of_a_contender(measured):
    for entry in measured["cases"] + measured["growth"]:
        assert set(entry) == {"shape", "variant", "training", "rounds", "gemm_gflops", "results"}
        assert entry["shape"] == list(TINY)
        assert entry["rounds"] == bench.LEAST_ROUNDS
        assert entry["results"]["keras"]["times_as_fast_as_keras"] == [1, 1, 1]
        for result in entry["results"].values():
            assert set(result) == {*QUARTILED, "gemm_fraction", "first_call_seconds", "peak_memory_mib"}
            for numbers in filter(None, map(result.get, QUARTILED)):
                assert 0 < numbers[0] <= numbers[1] <= numbers[2]
            assert result["first_call_seconds"] > result["milliseconds"][0] / 1000
            assert result["peak_memory_mib"] is None


@pytest.mark.parametrize("options", [{"go_backwards": True}, {"recurrent_activation": "hard_sigmoid"}])
def test_a_contender_that_does_other_work_is_refused(monkeypatch, options):
    monkeypatch.setitem(CONTENDERS, "graph", partial(contenders.tensorflow_gru, keras.layers.GRU, **options))
    with pytest.raises(ArithmeticError, match="graph does not compute what keras does"):
        bench.measure(Case(TINY, training=False), 0, ("keras", "graph"))


def test_a_result_that_is_not_a_number_is_refused():
    with pytest.raises(ArithmeticError, match="broken does not compute what keras does: array 1 of 2"):
        contenders.require_agreement({"keras": [np.ones(2), np.ones(2)], "broken": [np.ones(2), np.array([1, np.nan])]})


def test_flops_are_those_of_the_products():
    batch, steps, features, units = TINY
    products = [(features, 3 * units), (units, 3 * units)]
    assert Case(TINY, training=False).flops == sum(2 * batch * steps * rows * columns for rows, columns in products)
    assert Case(TINY).flops == 3 * Case(TINY, training=False).flops


@pytest.mark.skipif(not peak_memory.CLEAR_REFS.exists(), reason="the resident set is read from Linux's /proc")
def test_the_growth_of_memory_is_that_of_the_peak():
    def run():
        for _ in range(3):
            np.ones(2**26, "uint8")

    assert peak_memory.resident_growth(run) / 2**20 == pytest.approx(64, abs=8)


# ---- The report ----------------------------------------------------------------------------------


def entry(shape, variant, training, **milliseconds):
    results = {
        name: {
            "milliseconds": [time] * 3,
            "times_as_fast_as_keras": [milliseconds["keras"] / time] * 3,
            "times_as_fast_as_torch": [milliseconds["torch"] / time] * 3 if "torch" in milliseconds else None,
            "gemm_fraction": 0.6,
            "first_call_seconds": 1.0,
            "peak_memory_mib": 10.0 if training else None,
        }
        for name, time in milliseconds.items()
    }
    return {"shape": shape, "variant": variant, "training": training, "rounds": 5, "results": results}


@pytest.fixture
def written(measured):
    """A file with the provenance of a true one and round numbers."""
    shapes = [[1, 500, 8, 64], [8, 50, 8, 256]]
    cases = [
        entry(shape, "plain", training, keras=30.0, torch=15.0, onnxruntime=9.0, auto=10.0)
        for shape in shapes
        for training in (True, False)
    ]
    cases += [entry(shapes[0], variant, True, keras=30.0, auto=12.0) for variant in ("mask", "recurrent dropout")]
    growth = [entry([8, steps, 32, 64], "plain", True, keras=steps / 10, graph=steps / 20) for steps in (500, 5000)]
    provenance = {**measured["provenance"], "gpus": []}
    return {"provenance": provenance, "gemm_gflops": 100.0, "cases": cases, "growth": growth}


def line(measured, name):
    (found,) = [line for line in report.verdicts(measured).splitlines() if line.endswith(name)]
    return found.removeprefix("- ").split(" (")[0]


def test_verdicts_follow_the_numbers(written):
    assert line(written, "training, keras, geometric mean of all shapes") == "met, 3.00"
    assert line(written, "training, torch, geometric mean with B > 1") == "met, 1.50"
    assert line(written, "onnxruntime, geometric mean of all shapes") == "missed by 10.0%, 0.90"
    assert line(written, "largest T") == "met, 1.00"
    assert line(written, "time over that with mask") == "met, 0.83"
    assert line(written, "with left mask") == "not measured"
    assert line(written, "worst shape") == "met, 1.00"
    assert line(written, "H ≥ 256") == "met, 0.60"


def test_one_slow_shape_and_one_large_memory_miss_their_targets(written):
    slower = copy.deepcopy(written)
    auto = slower["cases"][2]["results"]["auto"]
    auto["times_as_fast_as_keras"], auto["peak_memory_mib"] = [1.3] * 3, 20.0
    assert line(slower, "training, keras, slowest shape with B > 1") == "missed by 7.1%, 1.30"
    assert line(slower, "worst shape") == "missed by 50.0%, 0.50"


def test_a_gpu_has_its_own_targets(written):
    written["provenance"]["gpus"] = ["a GPU"]
    assert line(written, "plain, keras, slowest case") == "met, 3.00"
    assert line(written, "recurrent dropout, keras, slowest case") == "missed by 16.7%, 2.50"


def test_tables_leave_out_what_was_not_measured(written, measured):
    text = report.markdown(written)
    assert "| (1, 500, 8, 64) | plain, training | 30 (1.00×) | 15 (2.00×) | 9 (3.33×) | 10 (3.00×) |" in text
    assert "| (1, 500, 8, 64) | mask, training | 30 (1.00×) |  |  | 12 (2.50×) |" in text
    assert "| training | B > 1 | 1.00× |  | 2.00× | 3.33× |  |  | 3.00× |  |" in text
    assert "not measured" in report.markdown(measured)
