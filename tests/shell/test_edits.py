"""What is edited by hand between steps, or loaded broken: named, and nothing has changed.

Each is the smallest example of something that random sequences found (`test_sequences.py`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sequences import whole

import optimkit as ok

HUGE = 10**400
G2 = [np.ones(2, "float32")] * 2


def refused(
    opt: ok.Optimizer, action: Callable[[], Any], error: type[Exception], message: str
) -> None:
    before = whole(opt)
    with pytest.raises(error, match=message) as caught:
        action()
    assert type(caught.value) is error
    assert whole(opt) == before


def stepped(name: str = "Adam", count: int = 1, **options: Any) -> tuple[ok.Optimizer, Any, Any]:
    shape = (2, 2) if name == "Muon" else (2,)
    x, y = np.ones(shape, "float32"), np.ones(shape, "float32")
    opt = getattr(ok, name)([x, y], **options)
    for _ in range(count):
        opt.step(grads=[np.ones_like(x)] * 2)
    return opt, x, y


# ---------------------------------------------------------------- step counts


def test_a_count_too_large_to_be_saved() -> None:
    x = torch.ones(2)
    opt = ok.Adam([x])
    opt.step(grads=[torch.ones(2)])
    opt.state[x]["step"] = HUGE
    refused(opt, opt.state_dict, ValueError, "parameter 0: its state step is too large: 1000")


# ---------------------------------------------------------------- entries of a state


@pytest.mark.parametrize("name", ["Adam", "Rprop", "Adafactor", "Adagrad", "RMSprop"])
@pytest.mark.parametrize("value", [None, "text", [0.5], 0.5])
def test_a_state_that_is_broken(engine: str, name: str, value: Any) -> None:
    opt, _, y = stepped(name)
    entry = next(key for key, x in opt.state[y].items() if hasattr(x, "shape"))
    opt.state[y][entry] = value
    wrong = f"{name}: parameter 1: its state {entry} is a .*; an array"
    refused(opt, lambda: opt.step(grads=G2), TypeError, wrong)


@pytest.mark.parametrize("value", [None, "text", [0.5]])
def test_a_number_of_a_state_that_is_none(engine: str, value: Any) -> None:
    opt, x, _ = stepped("NAdam")
    opt.state[x]["mu_product"] = value
    refused(opt, lambda: opt.step(grads=G2), TypeError, "parameter 0: its state mu_product is a")


def test_text_in_a_state_that_a_rule_does_not_begin_with(engine: str) -> None:
    opt, x, _ = stepped("SGD", momentum=0.5)
    opt.state[x]["momentum_buffer"] = "text"
    wrong = "SGD: parameter 0: its state momentum_buffer is a .*str"
    refused(opt, lambda: opt.step(grads=G2), TypeError, wrong)


def test_a_state_that_is_the_parameter(engine: str) -> None:
    """Kernels write one while they still read the other."""
    opt, x, _ = stepped("Adagrad")
    opt.state[x]["sum"] = x
    wrong = "parameter 0 and parameter 0: its state sum share memory"
    refused(opt, lambda: opt.step(grads=G2), ValueError, wrong)


def test_a_state_of_two_parameters(engine: str) -> None:
    opt, x, y = stepped("Adagrad")
    opt.state[y]["sum"] = opt.state[x]["sum"]
    wrong = "parameter 0: its state sum and parameter 1: its state sum share memory"
    refused(opt, lambda: opt.step(grads=G2), ValueError, wrong)


@pytest.mark.parametrize("state", [[1], 3, "exp_avg"])
def test_a_state_that_is_no_dict(engine: str, state: Any) -> None:
    opt, x, y = stepped("Adam")
    opt.state[x] = state
    before = x.tolist(), y.tolist(), opt.state[y]["step"]
    wrong = rf"Adam: parameter 0: its state is a builtins.{type(state).__name__}; a dict is needed"
    with pytest.raises(TypeError, match=wrong):
        opt.step(grads=G2)
    assert before == (x.tolist(), y.tolist(), opt.state[y]["step"])


def test_a_group_in_the_memory_that_a_parameter_has_got_since(engine: str) -> None:
    param = ok.Parameter(np.ones(3))
    opt = ok.SGD([param])
    param.data = np.zeros(3)
    opt.add_param_group({"params": [param.data[:1]]})
    step = lambda: opt.step(grads=[np.ones(3), np.ones(1)])  # noqa: E731
    refused(opt, step, ValueError, "parameters 0 and 1 share memory")


def test_a_state_in_a_parameter_with_gaps(engine: str) -> None:
    table = np.ones((4, 2), "float32")
    x = table[:, 0]
    opt = ok.Adagrad([x])
    opt.step(grads=[np.ones(4, "float32")])
    opt.state[x]["sum"] = x
    step = lambda: opt.step(grads=[np.ones(4, "float32")])  # noqa: E731
    refused(opt, step, ValueError, "share memory")


@pytest.mark.parametrize("make", [np.ones, torch.ones])
def test_a_none_in_the_state_of_an_empty_parameter(engine: str, make: Any) -> None:
    x, y = make((0, 3)), make(2)
    opt = ok.AdamW([x, y], amsgrad=True)
    opt.step(grads=[make((0, 3)), make(2)])
    opt.state[x]["max_exp_avg_sq"] = None
    step = lambda: opt.step(grads=[make((0, 3)), make(2)])  # noqa: E731
    refused(opt, step, TypeError, "parameter 0: its state max_exp_avg_sq is a .*None")


def test_a_moment_of_another_dtype_in_muon() -> None:
    x = torch.ones(2, 2)
    opt = ok.Muon([x])
    opt.step(grads=[torch.ones(2, 2)])
    opt.state[x]["momentum_buffer"] = opt.state[x]["momentum_buffer"].double()
    step = lambda: opt.step(grads=[torch.ones(2, 2)])  # noqa: E731
    refused(opt, step, TypeError, "parameter 0: its state momentum_buffer has dtype .*float64")


# ---------------------------------------------------------------- parameters, gradients, closures


def test_a_parameter_that_is_no_matrix_any_more() -> None:
    x = ok.Parameter(np.ones((2, 2)))
    opt = ok.Muon([x])
    x.data = x.grad = np.ones((1, 2, 2))
    refused(opt, opt.step, ValueError, r"Muon: parameter 0: only matrices .*\(1, 2, 2\)")


def test_rows_whose_sum_is_not_a_number(engine: str) -> None:
    x = np.ones((2, 1))
    values = np.array([[np.inf], [-np.inf]])
    ok.SparseAdam([x]).step(grads=[ok.RowSparse(np.array([0, 0]), values, x.shape)])
    assert np.isnan(x[0]).all()
    assert x[1] == 1


@pytest.mark.parametrize("make", [np.ones, torch.ones])
def test_gradients_that_cannot_be_written_to_become_zero(make: Any) -> None:
    one = make(1)
    spread = one.expand(3) if make is torch.ones else np.broadcast_to(one, (3,))
    params = [torch.nn.Parameter(make(3)) if make is torch.ones else ok.Parameter(make(3))]
    params[0].grad = spread
    ok.SGD(params).zero_grad(set_to_none=False)
    assert params[0].grad.tolist() == [0, 0, 0]
    assert one.tolist() == [1]


@pytest.mark.parametrize(("grads", "kind"), [(3, "int"), ("no", "str"), (np.ones(2), "ndarray")])
def test_what_is_no_sequence_of_gradients(grads: Any, kind: str) -> None:
    opt, *_ = stepped()
    wrong = f"grads must be a sequence .* not a single {kind}"
    refused(opt, lambda: opt.step(grads=grads), TypeError, wrong)


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("name", "options", "option", "value", "error"),
    [
        ("RAdam", {}, "betas", (1.0, 0.5), ValueError),
        ("Adam", {}, "betas", (1.0, 1.0), ValueError),
        ("Adam", {}, "betas", (0.5, 0.75, 0.875), ValueError),
        ("Adam", {}, "lr", HUGE, ValueError),
        ("Adafactor", {}, "beta2_decay", -HUGE, ValueError),
        ("Adafactor", {}, "d", 0.0, ValueError),
        ("Adafactor", {}, "eps", (0.5, HUGE), ValueError),
        ("Adagrad", {}, "lr_decay", -0.25, ValueError),
        ("Muon", {}, "ns_steps", 2.5, TypeError),
        ("Muon", {}, "adjust_lr_fn", "text", ValueError),
        ("Muon", {}, "adjust_lr_fn", 0.5, TypeError),
    ],
)
def test_options_that_a_rule_cannot_compute_with(
    engine: str, name: str, options: dict[str, Any], option: str, value: Any, error: Any
) -> None:
    opt, x, _ = stepped(name, count=4, **options)
    opt.param_groups[0][option] = value
    step = lambda: opt.step(grads=[np.ones_like(x)] * 2)  # noqa: E731
    refused(opt, step, error, f"{name}: invalid {option}: ")


SEARCHES = ["LBFGS", "NonlinearCG"]


def searched(name: str, size: int = 2) -> tuple[ok.Optimizer, Any, Callable[[], Any]]:
    x = np.arange(1.0, size + 1)
    opt = getattr(ok, name)([x], max_iter=2)

    def closure() -> Any:
        return float((x**4).sum()), [4 * x**3]

    opt.step(closure)
    return opt, x, closure


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("tolerance_grad", (0.5, 0.5), TypeError),
        ("tolerance_change", "text", TypeError),
        ("max_iter", 2.5, TypeError),
        ("lr", "text", TypeError),
        ("line_search_fn", "text", RuntimeError),
    ],
)
def test_options_of_line_searches(name: str, option: str, value: Any, error: Any) -> None:
    opt, _, closure = searched(name)
    opt.param_groups[0][option] = value
    refused(opt, lambda: opt.step(closure), error, f"{name}: .*{option}")
    del opt.param_groups[0][option]
    refused(opt, lambda: opt.step(closure), KeyError, f"{name}: a group has no option .*{option}")


@pytest.mark.parametrize(
    ("option", "value"), [("restart_every", (1, 2)), ("restart_threshold", "text")]
)
def test_restarts_of_the_wrong_kind(option: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"NonlinearCG: invalid {option}"):
        ok.NonlinearCG([np.ones(2)], **{option: value})


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("entry", ["d", "t", "prev_flat_grad", "prev_loss", "n_iter"])
@pytest.mark.parametrize("value", [None, "text", np.ones(3)])
def test_states_of_line_searches(name: str, entry: str, value: Any) -> None:
    opt, x, closure = searched(name)
    opt.state[x][entry] = value
    wrong = f"{name}: parameter 0: its state {entry} is .*; it must be a "
    refused(opt, lambda: opt.step(closure), TypeError, wrong)
    if entry != "n_iter":
        del opt.state[x][entry]
        wrong = f"{name}: parameter 0: its state has no {entry}"
        refused(opt, lambda: opt.step(closure), ValueError, wrong)


@pytest.mark.parametrize("name", SEARCHES)
def test_line_searches_on_what_cannot_be_written(name: str) -> None:
    opt, x, closure = searched(name)
    x.flags.writeable = False
    refused(opt, lambda: opt.step(closure), ValueError, f"{name}: parameter 0: it is read-only")


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("loss", [None, "loss"])
def test_a_loss_that_is_none(name: str, loss: Any) -> None:
    opt, x, _ = searched(name)
    wrong = f"{name}: the closure must return the loss, not {loss!r}"
    refused(opt, lambda: opt.step(lambda: (loss, [x.copy()])), TypeError, wrong)


# ---------------------------------------------------------------- checkpoints


def broken(change: Callable[[Any], Any]) -> tuple[ok.Optimizer, Any]:
    opt, *_ = stepped()
    saved = copy.deepcopy(opt.state_dict())
    return opt, change(saved) or saved


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda saved: 3, TypeError, "loaded state dict must be a mapping, not a int"),
        (lambda saved: {"state": {}}, KeyError, "loaded state dict has no 'param_groups'"),
        (lambda saved: {"param_groups": []}, KeyError, "loaded state dict has no 'state'"),
        (
            lambda saved: saved | {"param_groups": 3},
            TypeError,
            "loaded param_groups must be a list",
        ),
        (lambda saved: saved | {"state": []}, TypeError, "loaded state must be a mapping"),
        (lambda saved: saved | {"param_groups": [3]}, TypeError, "group 0 must be a mapping"),
        (lambda saved: saved | {"state": {0: 3}}, TypeError, "state of parameter 0 must be a map"),
        (
            lambda saved: saved["param_groups"][0].pop("params") and None,
            KeyError,
            "loaded group 0 has no 'params'",
        ),
        (
            lambda saved: saved["param_groups"][0].update(lr="text"),
            TypeError,
            "Adam: invalid lr: 'text'",
        ),
    ],
)
def test_checkpoints_that_are_broken(change: Any, error: Any, message: str) -> None:
    opt, saved = broken(change)
    refused(opt, lambda: opt.load_state_dict(saved), error, message)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_loaded_direction_of_text(name: str) -> None:
    opt, *_ = searched(name)
    saved = copy.deepcopy(opt.state_dict())
    saved["state"][0]["d"] = np.array(["a", "b"])
    refused(opt, lambda: opt.load_state_dict(saved), ValueError, "parameter 0: loaded state: ")


# ---------------------------------------------------------------- rules


def test_a_rule_that_returns_complex_numbers(engine: str) -> None:
    class Root(ok.Optimizer):
        def __init__(self, params: Any, lr: float = -0.5) -> None:
            super().__init__(params, dict(lr=lr))

        @staticmethod
        def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
            return param - hyper.lr**0.5 * grad, {}

    opt = Root([np.ones(2), np.ones(3)])
    step = lambda: opt.step(grads=[np.ones(2), np.ones(3)])  # noqa: E731
    refused(opt, step, TypeError, "update returned param as an array of dtype complex128")


@pytest.mark.parametrize("option", ["lambd", "alpha"])
def test_numbers_that_lead_nowhere_are_named(engine: str, option: str) -> None:
    x = np.ones(3)
    opt = ok.ASGD([x])
    opt.step(grads=[np.ones(3)])
    before = x.copy()
    opt.param_groups[0][option] = -1e18 if option == "alpha" else -(10**18)
    with pytest.raises(ValueError, match=rf"ASGD cannot compute .*{option}=-1"):
        opt.step(grads=[np.ones(3)])
    assert x.tolist() == before.tolist()


def test_counts_of_a_search_are_checked_at_each_step() -> None:
    x = np.ones(3)
    opt = ok.LBFGS([x])
    opt.param_groups[0]["history_size"] = -(10**18)
    with pytest.raises(ValueError, match="LBFGS: invalid history_size"):
        opt.step(lambda: (float(x @ x), [2 * x]))


@pytest.mark.parametrize("entry", [np.array(2.0), torch.ones(2)])
@pytest.mark.parametrize("make", [np.ones, torch.ones])
def test_entries_that_a_search_does_not_know(make: Any, entry: Any) -> None:
    x = make(3)
    opt = ok.LBFGS([x])
    opt.state[x] = {"step": entry}
    opt.step(lambda: (float(x @ x), [2 * x]))
    assert opt.state[x]["step"] is entry
    assert opt.state[x]["n_iter"] > 0


def test_an_option_that_takes_the_place_of_another_is_seen() -> None:
    class Reading(ok.SGD):
        @staticmethod
        def update(
            xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
        ) -> tuple[Any, dict[str, Any]]:
            return param - getattr(hyper, "extra", 0.0) * grad, {}

    x = np.ones(3)
    opt = Reading([x])
    opt.param_groups[0]["mask"] = np.ones(2)
    opt.step(grads=[np.ones(3)])
    del opt.param_groups[0]["mask"]
    opt.param_groups[0]["extra"] = 0.5
    opt.step(grads=[np.ones(3)])
    assert x.tolist() == [0.5] * 3
