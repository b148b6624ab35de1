"""The import arrows: which package may know which (docs/architecture.md, "Layout")."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "bitcoind_mp"

#: package -> packages of ours that its ordinary files may import
ARROWS = {
    "interfaces": set(),
    "render": {"interfaces"},
    "signing": {"interfaces", "render"},
    "config": {"interfaces"},
    "ipc": {"interfaces"},
    "service": {"interfaces"},
    "sandbox": {"interfaces"},
    "supervisor": {"interfaces", "config"},
    "node": {"interfaces", "config", "render", "signing"},
    "wallet": {"interfaces", "config", "render", "signing"},
    "signer": {"interfaces", "config", "render", "signing"},
    "cli": {"interfaces", "config"},
}
#: besides those, the files that put a process together or speak for it on the wire
ADAPTERS = {
    "supervisor": {"__main__.py", "control.py", "health.py", "app.py", "parts.py", "sources.py", "template.py"}
    | {"callers.py"},
    "node": {"__main__.py", "app.py", "feed.py", "for_wallets.py", "preload.py", "reach.py", "service.py"},
    "wallet": {"__main__.py", "app.py", "preload.py", "reach.py", "upstream.py", "signer_link.py", "service.py"}
    | {"elsewhere.py", "keeper_service.py"},
    "signer": {"__main__.py", "app.py", "door.py", "preload.py", "reach.py", "service.py"},
    "cli": {"__main__.py", "calling.py", "client.py", "exchange.py", "link.py", "shell.py"},
}
FILES = sorted(ROOT.rglob("*.py"))


def package_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def names(path: Path, tree: ast.AST) -> set[str]:
    """The full name of everything that is imported, at any depth."""
    found: set[str] = set()
    here = ("bitcoind_mp", *path.relative_to(ROOT).parent.parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else ()
            module = ".".join((*base, node.module or "")).strip(".")
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def imports(path: Path) -> set[tuple[str, str]]:
    """(our package, or "" , top-level module) for each import in the file."""
    split = [name.split(".") for name in names(path, ast.parse(path.read_text()))]
    return {(parts[1] if parts[0] == "bitcoind_mp" and len(parts) > 1 else "", parts[0]) for parts in split}


class _Running(ast.NodeTransformer):
    """Leaves out what is there for annotations alone."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if "TYPE_CHECKING" in ast.unparse(node.test) else self.generic_visit(node)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_what_its_package_may(path: Path) -> None:
    package = package_of(path)
    if package == "__init__":
        return
    allowed = ARROWS[package] | {package, "", "__version__"}
    if path.name in ADAPTERS.get(package, set()):
        allowed |= {"ipc", "sandbox", "service"}
    wrong = {ours for ours, _ in imports(path)} - allowed
    assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


@pytest.mark.parametrize("path", [p for p in FILES if package_of(p) == "interfaces"], ids=lambda p: p.name)
def test_interfaces_need_the_standard_library_alone(path: Path) -> None:
    import sys

    outside = {top for _, top in imports(path)} - set(sys.stdlib_module_names) - {"bitcoind_mp"}
    assert not outside


def test_nothing_is_imported_in_a_circle() -> None:
    """Nor by an import in a function, which only hides one. An annotation may name what its module is imported by."""
    modules = {
        ".".join(("bitcoind_mp", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in FILES
    }
    graph = {}
    for module, path in modules.items():
        imported = names(path, _Running().visit(ast.parse(path.read_text())))
        graph[module] = {name if name in modules else name.rpartition(".")[0] for name in imported} & modules.keys()
        graph[module].discard(module)
    TopologicalSorter(graph).prepare()


def test_one_file_imports_the_kernel_bindings() -> None:
    users = [str(p.relative_to(ROOT)) for p in FILES if any(top == "pbk" for _, top in imports(p))]
    assert users in ([], ["node/kernel.py"])
