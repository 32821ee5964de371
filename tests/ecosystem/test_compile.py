"""torch.compile of the model, and of a function that steps."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from networks import loss_of, near, network, same, train, whole  # noqa: E402

import optimkit as ok  # noqa: E402

# What torch's compiler itself imports and calls, which differs from release to release.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def compiler() -> Any:
    dynamo = pytest.importorskip("torch._dynamo", reason="this torch has no compiler")
    dynamo.reset()
    dynamo.utils.counters.clear()
    yield dynamo
    dynamo.reset()


def test_a_compiled_model() -> None:
    """`aot_eager` traces forward and backward as every backend has it, and generates no code."""
    model, plain = network(), network()
    compiled = torch.compile(model, backend="aot_eager")
    losses = train(compiled, ok.AdamW(compiled.parameters(), lr=0.05), range(4))
    expected = train(plain, ok.AdamW(plain.parameters(), lr=0.05), range(4))
    torch.testing.assert_close(losses, expected)
    assert near(whole(model), whole(plain))


@pytest.mark.parametrize("kind", [ok.AdamW, ok.Muon])
def test_a_compiled_function_that_steps(compiler: Any, kind: Any) -> None:
    model, plain = network()[:1], network()[:1]
    found = []
    for net in (model, plain):
        weights = [p for p in net.parameters() if p.ndim == 2]
        optimizer = kind(weights, lr=0.05)

        def step(optimizer: Any = optimizer) -> None:
            optimizer.step()

        run = torch.compile(step, backend="eager") if net is model else step
        for number in range(4):
            optimizer.zero_grad()
            net(torch.full((2, 5), 0.1 * number, dtype=torch.float64)).square().sum().backward()
            run()
        found.append(whole(net))
    assert same(*found)
    frames = compiler.utils.counters["frames"]
    assert frames["total"] == 2  # the function and what comes after the break: no frame of ours
    assert sum(compiler.utils.counters["graph_break"].values()) == 1


def test_a_graph_without_breaks_has_no_step_in_it(compiler: Any) -> None:
    model = network()
    optimizer = ok.AdamW(model.parameters(), lr=0.05)
    loss_of(model, 0).backward()
    before = whole(model)
    with pytest.raises(compiler.exc.Unsupported, match="disable"):
        torch.compile(lambda: optimizer.step(), backend="eager", fullgraph=True)()
    assert same(whole(model), before)


def test_a_whole_training_step_in_one_compiled_function() -> None:
    model, plain = network(), network()
    optimizer = ok.AdamW(model.parameters(), lr=0.05)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)

    @torch.compile(backend="aot_eager")
    def once(number: int) -> Any:
        optimizer.zero_grad()
        loss = loss_of(model, number)
        loss.backward()
        optimizer.step()
        return loss.detach()

    other = ok.AdamW(plain.parameters(), lr=0.05)
    second = torch.optim.lr_scheduler.StepLR(other, 2)
    for number in range(4):
        once(number)
        scheduler.step()
        train(plain, other, [number])
        second.step()
    assert near(whole(model), whole(plain))


@pytest.mark.parametrize(
    "wrap", [ok.skip_nonfinite, lambda inner: ok.accumulate(ok.skip_nonfinite(inner), 2)]
)
def test_a_compiled_function_that_steps_a_wrapper(compiler: Any, wrap: Any) -> None:
    model, plain = network(), network()
    found = []
    for net in (model, plain):
        optimizer = wrap(ok.AdamW(net.parameters(), lr=0.05))

        def step(optimizer: Any = optimizer) -> None:
            optimizer.step()
            optimizer.zero_grad()

        run = torch.compile(step, backend="eager") if net is model else step
        for number in range(4):
            loss_of(net, number).backward()
            run()
        found.append(whole(net))
    assert same(*found)
    counters = compiler.utils.counters
    assert sum(counters["graph_break"].values()) == 1
    assert counters["frames"]["total"] == 2  # no frame of ours
