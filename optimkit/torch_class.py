"""A class that is ours and one of torch's, too: made from both, once for each of ours."""

from __future__ import annotations

import copyreg
from threading import Lock
from typing import Any, ClassVar

_making = Lock()


class TorchClass:
    """First base of the classes that are made here.

    A subclass says what such a class does differently, and which class of torch's it is as well.
    """

    plain_class: ClassVar[type]  # ours, of which a class was made
    _face: ClassVar[type[TorchClass]]

    @classmethod
    def torch_base(cls, kind: type) -> type:
        """Return the class of torch's; its constructor is not called."""
        raise NotImplementedError

    @classmethod
    def home(cls, kind: type) -> str:
        """Return the module that a class made of `kind` is said to be from."""
        return kind.__module__

    @classmethod
    def of(cls, kind: type) -> type:
        """Return the class that is made of `kind`, which keeps it, or `kind` where it is one."""
        if issubclass(kind, cls):
            return kind
        with _making:
            made: type | None = vars(kind).get("_torch_class")
            if made is None:
                base = cls.torch_base(kind)
                bases = (cls, kind) if issubclass(kind, base) else (cls, kind, base)
                named = {"__module__": cls.home(kind), "__qualname__": kind.__qualname__}
                own = {"__doc__": kind.__doc__, "__slots__": (), "plain_class": kind, "_face": cls}
                meta: Any = type(kind)
                made = meta(kind.__name__, bases, named | own)
                kind._torch_class = made  # type: ignore[attr-defined]
        return made

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "plain_class" not in vars(cls):  # a class that is made is none that a user defines
            super().__init_subclass__(**kwargs)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Have the object pickled and copied as one of the plain class, which can be found."""
        reduced = super().__reduce_ex__(max(2, protocol))
        made = type(self)
        if "plain_class" in vars(made) and isinstance(reduced, tuple):
            function, args, *rest = reduced
            if function is copyreg.__newobj__ and args[0] is made:  # type: ignore[attr-defined]
                return blank, (self._face, self.plain_class, *args[1:]), *rest
        return reduced


def blank(face: type[TorchClass], kind: type, *args: Any) -> Any:
    """Return an object to be filled, of the class that is made of `kind`."""
    made = face.of(kind)
    return made.__new__(made, *args)


__all__ = ["TorchClass", "blank"]
