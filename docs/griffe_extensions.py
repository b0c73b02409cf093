"""Griffe extensions: how the Python reference reads the docstrings and classes of histome."""

from typing import Any

from griffe import (
    Attribute,
    Class,
    Docstring,
    DocstringSectionAttributes,
    DocstringSectionParameters,
    DocstringSectionRaises,
    DocstringSectionReturns,
    Extension,
    Function,
    Object,
    Parameter,
    ParameterKind,
    Parameters,
)

# Classes whose fields are the parameters of a constructor that nobody wrote.
FIELDS_ONLY = ("NamedTuple", "Settings", "BaseModel", "_Strict")


class ProseHeads(Extension):
    """Reads `name : what it is, in words` as a description, not as a type.

    numpydoc takes what follows the colon for a type. Where that is all there is, or where the next line goes
    on with it, it is prose here; the types stand in the signature.
    """

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Change the sections that griffe has parsed, in place."""
        if obj.docstring is None:
            return
        for section in obj.docstring.parsed:
            if isinstance(section, DocstringSectionParameters | DocstringSectionAttributes):
                for item in section.value:
                    _turn(item, None)
            elif isinstance(section, DocstringSectionReturns):
                for item in section.value:
                    _turn(item, getattr(obj, "returns", None))
            elif isinstance(section, DocstringSectionRaises):
                for item in section.value:
                    _split(item)


def _turn(item: Any, annotation: Any) -> None:
    goes_on = item.description[:1].islower()  # a description of its own begins with a capital
    if item.annotation is not None and (goes_on or not item.description):
        item.description, item.annotation = f"{item.annotation} {item.description}".strip(), annotation


def _split(item: Any) -> None:
    """`SlideError, MppError : why` -> the errors, and why."""
    head, colon, why = str(item.annotation).partition(" : ")
    if colon:
        item.annotation, item.description = head, f"{why} {item.description}".strip()


class FieldSignatures(Extension):
    """Gives named tuples and settings the signature that their fields make."""

    def on_class(self, *, cls: Class, **_: Any) -> None:
        """Add the constructor."""
        if "__init__" in cls.members or not {str(base).split(".")[-1] for base in cls.bases} & {*FIELDS_ONLY}:
            return
        fields = [
            Parameter(
                name,
                annotation=field.annotation,
                kind=ParameterKind.positional_or_keyword,
                default=field.value,
            )
            for name, field in cls.attributes.items()
            if not name.startswith("_") and field.annotation is not None and "property" not in field.labels
        ]
        if fields:
            cls["__init__"] = Function("__init__", parameters=Parameters(Parameter("self"), *fields))


class CommentedConstants(Extension):
    """Takes the comment above a constant of a module for its docstring, so that the constant is shown."""

    def on_attribute(self, *, attr: Attribute, **_: Any) -> None:
        """Give a constant without a docstring its comment, or an empty one."""
        module = attr.parent
        if attr.docstring is not None or module is None or not module.is_module or attr.lineno is None:
            return
        if str(attr.value).startswith("TypeVar("):
            return
        above = []
        for line in reversed(module.lines[: attr.lineno - 1]):
            if not line.startswith("# "):
                break
            above.insert(0, line.removeprefix("# "))
        attr.docstring = Docstring(" ".join(above), parent=attr, parser="numpy")
