"""Installed packages that are made for a test: a module and what it says of itself, in a folder."""


def install(folder, entry_points, modules, *, name="made-models", group="histome.models"):
    """Write a distribution into `folder`, which is to be put on sys.path.

    entry_points : lines of `group`. modules : source by module name.
    """
    about = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{group}]\n" + "\n".join(entry_points) + "\n")
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(source)
