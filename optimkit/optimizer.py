"""The face of every optimizer: groups, step, hooks, pickling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, overload

from optimkit import differentiable
from optimkit.backends.adapters import adapter_of
from optimkit.backends.bucket import Options, buckets
from optimkit.backends.kept_trace import pure
from optimkit.backends.rows import Rows, row_buckets
from optimkit.checkpoint import Checkpointed
from optimkit.gradients import check_closure, checked, collect, evaluate, forget_gradients, part
from optimkit.groups import Claims, Group, as_groups, parted, shown
from optimkit.hooks import hooked
from optimkit.hooks import register_optimizer_step_post_hook as register_optimizer_step_post_hook
from optimkit.hooks import register_optimizer_step_pre_hook as register_optimizer_step_pre_hook
from optimkit.naming import kind_of
from optimkit.parameter import array_of, is_torchs
from optimkit.reasons import explaining
from optimkit.typing import Gradients, Loss, Params


class Optimizer(Checkpointed):
    r"""Base of every optimizer: subclass it with two functions, `init` and `update`.

    Parameters
    ----------
    params : iterable or mapping
        Arrays, torch tensors or :class:`Parameter`; or ``(name, parameter)`` pairs; or a mapping
        from names to parameters; or group dicts ``{"params": ..., "lr": ...}`` whose options
        override `defaults`.
    defaults : dict
        The options of a group that does not give its own.

    Attributes
    ----------
    param_groups : list of dict
        The groups, with the very objects the user passed under ``"params"``.
    state : mapping
        From a parameter, by identity, to the dict of its state.
    defaults : dict
    step_count : int
        Completed calls of `step` in this process.

    Notes
    -----
    A subclass defines

    - ``init(xp, param, hyper) -> dict``, the state before the first step: arrays and numbers;
    - ``update(xp, param, grad, state, hyper, step) -> (param, dict)``, one step, as pure Array API
      code that changes nothing but what it has made itself. State that it does not return stays
      as it is.

    and may declare `limits` (what each option may be), ``check_options(hyper)``,
    ``check_param(param, hyper)``, ``sparse_gradients(hyper)``; without a step count in torch,
    ``counts_steps = False``; to be called with torch tensors in place of NumPy's views of them,
    ``native = True``.

    Where all parameters are torch tensors, it is a ``torch.optim.Optimizer`` as well: its class is
    then one made of both (see `optimkit.torch`), and it takes tensors alone.

    With ``master_dtype="float32"`` a parameter of half precision has a copy in full, ``"master"``
    of its state. The rule steps that, and makes state like it; the parameter gets it, rounded.
    Where the parameter has been changed since by something else, the copy begins anew from it.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> class SignSGD(ok.Optimizer):
    ...     def __init__(self, params, lr=1e-3, **options):
    ...         super().__init__(params, dict(lr=lr, **options))
    ...
    ...     @staticmethod
    ...     def init(xp, param, hyper):
    ...         return {}
    ...
    ...     @staticmethod
    ...     def update(xp, param, grad, state, hyper, step):
    ...         return param - hyper.lr * xp.sign(grad), {}
    >>> weights = np.array([1.0, -2.0])
    >>> SignSGD([weights], lr=0.5).step(grads=[np.array([3.0, -0.1])])
    >>> weights
    array([ 0.5, -1.5])
    """

    _complete = True  # whether the constructor has added its groups

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        self.defaults = {"fused": None, "differentiable": False, **defaults}
        self.param_groups: list[Group] = []
        self._complete = False
        self._begin()
        if vars(self).pop("_without_params", False):
            return
        self.check_group(self.defaults, self.defaults)
        for group in as_groups(params):
            self.add_param_group(group)
        self._complete = True
        self._be_torchs()

    # ------------------------------------------------------------------ groups

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add a group of parameters, with the defaults for options it does not give.

        Parameters
        ----------
        param_group : dict
            ``"params"``, as for the constructor, and options.

        Raises
        ------
        TypeError
            If a parameter is no array or tensor that can be updated in place.
        ValueError
            If an option is out of its range or a parameter is already there.
        """
        group, params, names = parted(param_group)
        for key, value in self.defaults.items():
            group.setdefault(key, value)
        hyper = self.check_group(group, self.defaults)
        if self._claims is None:
            self._claims = Claims(self._params())
        count = len(self._claims.extents)
        self.check_params(params, hyper, names or range(count, count + len(params)))
        if self.param_groups and (names is None) != ("param_names" not in self.param_groups[0]):
            raise ValueError(
                "all optimizer params should be with/without names across param groups: "
                f"group {len(self.param_groups)} is not like those before it"
            )
        claims, self._claims = self._claims, None
        self._claims = claims.with_more(params, self._params)
        self.param_groups.append(
            {"params": params} | ({"param_names": names} if names else {}) | group
        )
        if self._complete and not any(group["params"] for group in self.param_groups[:-1]):
            self._be_torchs()

    def _be_torchs(self) -> None:
        """Be a torch.optim.Optimizer as well, if all parameters are tensors."""
        params = self._params()
        if params and all(map(is_torchs, params)):
            from optimkit.torch_optimizer import TorchOptimizer

            self.__class__ = TorchOptimizer.of(type(self))

    def _params(self) -> list[Any]:
        columns = [group["params"] for group in self.param_groups]
        return list(columns[0]) if len(columns) == 1 else list(chain.from_iterable(columns))

    # ------------------------------------------------------------------ stepping

    @overload
    def step(self, closure: None = None, *, grads: Gradients | None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], tuple[Loss, Gradients]]) -> Loss: ...
    @overload
    def step(self, closure: Callable[[], Loss]) -> Loss: ...
    @hooked
    def step(self, closure: Callable[[], Any] | None = None, *, grads: Any = None) -> Any:
        """Update every parameter that has a gradient.

        Parameters
        ----------
        closure : callable, optional
            Re-evaluates the model: sets ``.grad`` and returns the loss, or returns
            ``(loss, grads)``.
        grads : sequence or mapping, optional
            A gradient for each parameter in order, or by name; None leaves that parameter alone.
            Without it, gradients are the parameters' ``.grad``.

        Returns
        -------
        loss
            What the closure returned, or None.

        Raises
        ------
        TypeError, ValueError, RuntimeError, KeyError
            For a gradient of the wrong kind, shape, device or name; nothing has changed.
        """
        check_closure(closure)
        return self._step(closure, grads)

    def _step(self, closure: Callable[[], Any] | None = None, grads: Any = None) -> Any:
        loss = None
        if closure is not None:
            loss, grads = evaluate(self._params(), closure, grads)
        params = self._params()
        self._advance(params, collect(self.param_groups, params, grads))
        return loss

    def _advance(self, params: list[Any], grads: list[Any]) -> None:
        """Check everything, make ready what changes parameters and state, and do it."""
        stepper, state = self._stepper, self.state
        options = self._options.renew(self.param_groups, self.check_changed)
        if self._options.differentiable:
            differentiable.advance(self, params, grads, options)
            return
        rows: list[Rows] = []
        try:
            stepper.recount()
            if not stepper.again(params, grads, state.version, options):
                whole, rows = part(type(self), self.param_groups, params, grads, state, options)
                if whole is grads or not stepper.again(params, whole, state.version, options):
                    self._lay_out(params, whole, options)
            touched = row_buckets(rows) if rows else ()
            with explaining(type(self), self.param_groups, self.defaults, state):
                stepper.run(stepper.prepare(self.rule_for(options), options, self.native, touched))
        except BaseException:
            stepper.forget()
            raise
        finally:
            stepper.release()
        if stepper.strangers or rows:
            self._register(rows)

    def _lay_out(self, params: list[Any], grads: list[Any], options: Options) -> None:
        """Sort the parameters that have gradients into buckets."""
        groups, state = self.param_groups, self.state
        extents = [adapter_of(x).extent(x) for x in map(array_of, params)]
        if self._claims is None or self._claims.extents != extents:
            self._claims = Claims(params)
        members, strangers = checked(type(self), groups, params, grads, state, options)
        found = buckets(members, extents, lambda group: options.of(group).fused)
        self._stepper.lay_out(params, grads, state.version, options, found)
        self._stepper.registered(state.version, strangers)

    def _register(self, rows: list[Rows]) -> None:
        """Let `state` know the parameters that have got a state by now."""
        strangers = self._stepper.strangers
        for param, own in [*strangers, *((each.param, each.state) for each in rows)]:
            if own and self.state.get(param) is not own:
                self.state[param] = own
        self._stepper.registered(self.state.version, [pair for pair in strangers if not pair[1]])

    def refresh(self) -> None:
        """Bring changed options to a step that was captured in a CUDA graph.

        A replay runs kernels and no Python: it goes on with the options of the capture, or of the
        latest call of this. Numbers such as ``lr`` can change so; pairs such as ``betas``, and what
        decides which operations there are, are part of the graph.

        Raises
        ------
        RuntimeError
            If an option that is part of the graph has changed.
        """
        self._stepper.refresh(self._options.renew(self.param_groups, self.check_changed))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters that keep one.

        Parameters
        ----------
        set_to_none : bool, default True
            Set them to None; otherwise to zero, in place where they can be written to.
        """
        forget_gradients(self._params(), set_to_none)

    def __repr__(self) -> str:
        text, params = f"{type(self).__name__} ({shown(self.param_groups)})", self._params()
        others = [param for param in params if not is_torchs(param)]
        if others and any(is_torchs(array_of(param)) for param in params):
            found = f"one of its parameters is a {kind_of(others[0])}"
            return f"{text}\nNo torch.optim.Optimizer, which holds torch tensors alone: {found}"
        return text


__all__ = [
    "Optimizer",
    "pure",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
]
