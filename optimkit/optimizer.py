"""The face of every optimizer: groups, step, hooks, pickling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, overload

from optimkit import checkpoint
from optimkit.backends.adapters import adapter_of
from optimkit.backends.bucket import Options, buckets
from optimkit.backends.kept_trace import pure
from optimkit.backends.rows import Rows, row_buckets
from optimkit.gradients import checked, collect, evaluate, forget_gradients, part
from optimkit.groups import Claims, Group, OptionsOfGroups, as_groups, parted, shown
from optimkit.hooks import MOMENTS, Hooked, Hooks, hooked
from optimkit.hooks import register_optimizer_step_post_hook as register_optimizer_step_post_hook
from optimkit.hooks import register_optimizer_step_pre_hook as register_optimizer_step_pre_hook
from optimkit.parameter import array_of
from optimkit.reasons import explaining
from optimkit.rule import Rule
from optimkit.state import State
from optimkit.stepper import Stepper
from optimkit.typing import Gradients, Loss, Params


class Optimizer(Rule, Hooked):
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

    With ``master_dtype="float32"`` a parameter of half precision has a copy in full, ``"master"``
    of its state. The rule steps that, and makes state like it; the parameter gets it, rounded.

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

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        self.defaults = {"fused": None, "differentiable": False, **defaults}
        self._state = State()
        self.param_groups: list[Group] = []
        self._begin()
        if vars(self).pop("_without_params", False):
            return
        for group in as_groups(params):
            self.add_param_group(group)

    @property
    def state(self) -> State:
        return self._state

    @state.setter
    def state(self, state: Mapping[Any, dict[str, Any]]) -> None:
        # `optimizer.state = defaultdict(dict)` is how torch's users begin anew.
        self._state = State(state)

    def _begin(self) -> None:
        """Set what is neither pickled nor copied."""
        self.step_count = 0
        self._hooks = {moment: Hooks() for moment in MOMENTS}
        self._stepper = Stepper(self.counts_steps)
        self._options = OptionsOfGroups()
        self._claims: Claims | None = None

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
        if closure is not None and not callable(closure):
            raise TypeError(
                f"step takes a closure, not a {type(closure).__name__}; "
                "gradients are given as step(grads=...)"
            )
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
        rows: list[Rows] = []
        try:
            stepper.recount()
            if not stepper.again(params, grads, state.version, options):
                rule = type(self)
                whole, rows = part(rule, self.param_groups, params, grads, state, options)
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
        arrays = list(map(array_of, params))
        extents = [adapter_of(x).extent(x) for x in arrays]
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

    # ------------------------------------------------------------------ checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Return the state and the options in torch's schema.

        Returns
        -------
        dict
            ``"state"``, from the number of a parameter to its state, and ``"param_groups"``, with
            the numbers under ``"params"``. Arrays are references, not copies.
        """
        for hook in self._hooks["state_dict_pre"]:
            hook(self)
        self._stepper.recount()
        result = checkpoint.save(self.param_groups, self.state, type(self))
        for hook in self._hooks["state_dict_post"]:
            changed = hook(self, result)
            if changed is not None:
                result = changed
        return result

    match_saved = staticmethod(checkpoint.by_name)

    def load_state_dict(self, state_dict: Mapping[str, Any], *, by_position: bool = False) -> None:
        """Continue from a state dict of optimkit or torch.

        Arrays are copied to the kind, dtype and device of their parameter. Options that an older
        checkpoint lacks get the default of the constructor.

        Parameters
        ----------
        state_dict : dict
            From `state_dict`, of an optimizer with groups of the same lengths. Within a group,
            parameters that have names there and here are matched by name, others by position.
        by_position : bool, default False
            Match by position whatever the names are. Parameters keep their own.

        Raises
        ------
        ValueError
            If groups, names or shapes do not fit. Nothing has changed then.
        KeyError
            If ``"state"`` or ``"param_groups"`` is missing.
        """
        saved = dict(checkpoint.mapping("state dict", state_dict))
        for hook in self._hooks["load_state_dict_pre"]:
            changed = hook(self, saved)
            if changed is not None:
                saved = changed
        match = checkpoint.by_position if by_position else self.match_saved
        groups, legacy, check = self.param_groups, self.legacy(), self.check_changed
        checkpoint.load(saved, groups, self.state, legacy, check, self._load_param, match)
        self._stepper.forget()
        for hook in self._hooks["load_state_dict_post"]:
            hook(self)

    def _load_param(
        self, array: Any, saved: Mapping[str, Any], hyper: Any, label: str
    ) -> dict[str, Any]:
        """Return the state of one parameter from a checkpoint."""
        return checkpoint.load_param(type(self), array, saved, hyper, label)

    def __getstate__(self) -> dict[str, Any]:
        self._stepper.recount()
        # A step in the object itself is the class's, as a torch scheduler has wrapped it: its own.
        own = {k: v for k, v in vars(self).items() if not k.startswith("_")}
        first = {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}
        return first | {k: v for k, v in own.items() if k not in ("step", "step_count")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._begin()
        for name, value in state.items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        return f"{type(self).__name__} ({shown(self.param_groups)})"


__all__ = [
    "Optimizer",
    "pure",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
]
