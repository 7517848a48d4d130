"""All files together: which name means what, across modules."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from .symbols import Class, Function, Module
from .values import ClassValue, External, FunctionValue, ModuleValue, Value
from .vocabulary import OTHER_SESSIONS

if TYPE_CHECKING:
    from .facts import FunctionFacts, ModuleFacts
    from .options import Options

__all__ = ["Project"]

# An import of these never means a file of the project that happens to bear the name.
_FOREIGN = (
    OTHER_SESSIONS
    | frozenset(sys.stdlib_module_names)
    | {"sqlalchemy", "sqlmodel", "flask_sqlalchemy", "celery"}
)
_DEEPEST_CLASS = 12


class Project:
    """The symbol table.

    Args:
        modules: The facts of every file that has any.
        options: What the project says about itself.
    """

    def __init__(self, modules: Iterable[ModuleFacts], options: Options) -> None:
        self.options = options
        self.modules = [Module(each) for each in modules]
        # A package hides a script of its name that lies beside it.
        self.modules.sort(key=lambda each: (each.facts.is_package, each.path))
        self._by_name = {each.name: each for each in self.modules}
        self._by_suffix: dict[str, list[Module]] = {}
        for module in self.modules:
            parts = module.name.split(".")
            for start in range(len(parts)):
                self._by_suffix.setdefault(".".join(parts[start:]), []).append(module)
        self.wired = frozenset(each for module in self.modules for each in module.facts.wired)
        self.functions = [each for module in self.modules for each in module.everything()]
        self._by_facts = {id(each.facts): each for each in self.functions}
        self._ancestries: dict[str, tuple[Class, ...]] = {}
        self._imported: dict[tuple[str, str], Module | None] = {}
        self.methods_named: dict[str, list[Function]] = {}
        for each in self.functions:
            if each.is_method:
                self.methods_named.setdefault(each.name, []).append(each)

    def function(self, facts: FunctionFacts) -> Function | None:
        """Return the function that *facts* belong to."""
        return self._by_facts.get(id(facts))

    # --- names

    def find(self, dotted: str, importer: Module) -> Value:
        """Return what an imported name means, as seen from *importer*."""
        return self._find(dotted, importer, 0)

    def _find(self, dotted: str, importer: Module, depth: int) -> Value:
        if depth > _DEEPEST_CLASS:
            return None
        head, _, tail = dotted.rpartition(".")
        module = self._module(dotted, importer)
        if module is not None and (not head or not self._defines(head, tail, importer)):
            return ModuleValue(module)
        parts = dotted.lstrip(".").split(".")
        for cut in range(len(parts) - 1, 0, -1):
            name = ("." if dotted.startswith(".") else "") + ".".join(parts[:cut])
            module = self._module(name, importer)
            if module is not None:
                return self._walk(ModuleValue(module), parts[cut:], depth)
        return External(dotted.lstrip("."))

    def _defines(self, head: str, name: str, importer: Module) -> bool:
        """Whether the package *head* has an object *name* that hides its module of that name."""
        package = self._module(head, importer)
        return package is not None and (name in package.functions or name in package.classes)

    def _walk(self, value: Value, names: list[str], depth: int) -> Value:
        for index, name in enumerate(names):
            if isinstance(value, ModuleValue):
                value = self.member(value.module, name, depth + 1)
            elif isinstance(value, ClassValue):
                method = self.method(value.cls, name)
                value = None if method is None else FunctionValue(method, value)
            elif isinstance(value, External):
                value = External(".".join([value.path, *names[index:]]))
                break
            else:
                return None
        return value

    def _module(self, dotted: str, importer: Module) -> Module | None:
        key = dotted, importer.name
        if key not in self._imported:
            self._imported[key] = self._found(dotted, importer)
        return self._imported[key]

    def _found(self, dotted: str, importer: Module) -> Module | None:
        if dotted.startswith("."):
            return self._by_name.get(dotted[1:])
        if dotted in self._by_name and dotted.partition(".")[0] not in _FOREIGN:
            return self._by_name[dotted]
        if dotted.partition(".")[0] in _FOREIGN:
            return None
        found = self._by_suffix.get(dotted, [])
        if "." not in dotted:
            parent = importer.name.rpartition(".")[0]
            found = [each for each in found if each.name.rpartition(".")[0] in {parent, "src"}]
        return max(found, key=lambda each: _shared(each.name, importer.name), default=None)

    def member(self, module: Module, name: str, depth: int = 0) -> Value:
        """Return what *name* means in *module*: a definition, an import, or None for a variable."""
        if name in module.functions:
            return FunctionValue(module.functions[name])
        if name in module.classes:
            return ClassValue(module.classes[name])
        if name in module.facts.imports:
            return self._find(module.facts.imports[name], module, depth + 1)
        if module.facts.is_package or name not in module.body.bindings:
            inner = self._by_name.get(f"{module.name}.{name}")
            if inner is not None:
                return ModuleValue(inner)
        if name in module.body.bindings:
            return None
        return self._starred(module, name, depth)

    def _starred(self, module: Module, name: str, depth: int) -> Value:
        for star in module.facts.stars:
            origin = self._module(star, module)
            if origin is not None and origin is not module and depth < _DEEPEST_CLASS:
                value = self.member(origin, name, depth + 1)
                if value is not None or name in origin.body.bindings:
                    return value
        return None

    def variable_module(self, module: Module, name: str, depth: int = 0) -> Module | None:
        """Return the module in which the variable *name* of *module* is assigned."""
        if name in module.body.bindings or name in module.globals_set_inside:
            return module
        target = module.facts.imports.get(name)
        if target is not None:
            head, _, tail = target.rpartition(".")
            origin = self._module(head, module) if head else None
            return (
                None
                if origin is None or depth > _DEEPEST_CLASS
                else self.variable_module(origin, tail, depth + 1)
            )
        for star in module.facts.stars:
            origin = self._module(star, module)
            if origin is not None and origin is not module and depth < _DEEPEST_CLASS:
                found = self.variable_module(origin, name, depth + 1)
                if found is not None:
                    return found
        return None

    # --- classes

    def bases(self, cls: Class) -> Iterator[Value]:
        """Return what the bases of *cls* mean."""
        for each in cls.facts.bases:
            if isinstance(each, str):
                yield self.name(each, cls.module)

    def name(self, dotted: str, module: Module) -> Value:
        """Return what a dotted name means at the top of *module*."""
        head, _, rest = dotted.partition(".")
        value = self.member(module, head)
        if value is None and head not in module.body.bindings:
            return None if head in module.facts.imports else External(dotted)
        return self._walk(value, rest.split("."), 0) if rest else value

    def ancestry(self, cls: Class) -> tuple[Class, ...]:
        """Return *cls* and its bases in the project, nearest first."""
        if cls.id not in self._ancestries:
            self._ancestries[cls.id] = tuple(self._ancestry(cls).values())
        return self._ancestries[cls.id]

    def _ancestry(self, cls: Class) -> dict[str, Class]:
        found: dict[str, Class] = {}
        waiting = [cls]
        while waiting and len(found) < _DEEPEST_CLASS:
            each = waiting.pop(0)
            if each.id not in found:
                found[each.id] = each
                waiting += [base.cls for base in self.bases(each) if isinstance(base, ClassValue)]
        return found

    def method(self, cls: Class, name: str) -> Function | None:
        """Return the method *name* of *cls*, its own or inherited."""
        for each in self.ancestry(cls):
            if name in each.methods:
                return each.methods[name]
        return None


def _shared(one: str, other: str) -> tuple[int, int]:
    count = 0
    for left, right in zip(one.split("."), other.split("."), strict=False):
        if left != right:
            break
        count += 1
    return count, -len(one)
