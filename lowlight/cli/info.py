"""main.py's --list-models, --download, --info and --version."""

import platform
from importlib.metadata import packages_distributions, version
from itertools import groupby

from lowlight import __version__
from lowlight.settings import EnhanceSettings
from lowlight.system import counted
from lowlight.zoo import registry

MEASURED_PARTS = ("val", "test")


def answer(settings: EnhanceSettings) -> int | None:
    """Answer a question that is not about photos, if one was asked.

    Returns
    -------
    int or None
        Exit status; None if photos are to be enhanced.

    Raises
    ------
    UserError
        As the functions below.
    """
    if settings.version:
        print(f"lowlight {__version__}")
        return 0
    if settings.info:
        return inform()
    if settings.list_models:
        return show()
    if settings.download:
        return download(settings.download, settings.models_url)
    return None


def inform() -> int:
    """Print what a report of a problem should say of the machine, and give the exit status.

    Loads TensorFlow where it is installed.
    """
    import psutil

    from lowlight.inference.engines import ENGINES, MODULES, installed
    from lowlight.inference.session import devices
    from lowlight.system import fastest_precision, versions

    memory = psutil.virtual_memory()
    names = [entry["name"] for entry in registry.available()]
    print(f"lowlight {__version__}")
    for package, number in versions().items():
        print(f"{package} {number}")
    engines, distributions = installed(), packages_distributions()  # onnxruntime may be of onnxruntime-gpu
    modules = {name: MODULES[name] if name == "onnx" else name for name in engines}
    numbers = {name: " and ".join(map(version, distributions.get(module, ()))) for name, module in modules.items()}
    print("engines: " + ", ".join(f"{ENGINES[name]} {number}" for name, number in numbers.items()))
    print(f"system: {platform.platform()}, {counted(psutil.cpu_count() or 1, 'core')}")
    print(f"devices: {', '.join(devices()) if 'tensorflow' in engines else 'cpu'}")
    halved = fastest_precision() != "float32"
    print(f"precision: {'bfloat16 for models 10 and up, float32 for the others' if halved else 'float32'}")
    print(f"memory: {memory.total / 2**30:.1f} GiB, {memory.available / 2**30:.1f} GiB of it free")
    for folder, found in groupby(sorted(names, key=_place), key=_place):
        print(f"models {folder}: {', '.join(found)}")
    return 0


def _place(name) -> str:
    folder, address = registry.folder_of(name), registry.address_of_models()
    if folder is None:
        return f"to download from {address or 'where --models-url says'} into {registry.MODELS}"
    return f"in {folder}"


def show() -> int:
    """Print one line for each model, the default marked, and give the exit status.

    Raises
    ------
    UserError
        If there is no model.
    """
    default = registry.default()
    print(f"{'model':<12}{'parameters':>11}  {'PSNR in dB':<15}{'SSIM':<15}{'files':<13}the one new idea")
    for entry in registry.available():
        name = f"{entry['name']}{' *' if entry['name'] == default else ''}"
        files = "here" if registry.is_here(entry["name"]) else "to download"
        psnr, ssim = _scores(entry, "psnr", ".2f"), _scores(entry, "ssim", ".3f")
        print(f"{name:<12}{entry['parameters']:>11,}  {psnr:<15}{ssim:<15}{files:<13}{entry['idea']}")
    print("Scores: LOL's validation photos / its test. * is what main.py uses by default.")
    return 0


def download(which: str, address: str | None) -> int:
    """Download a model, unless it is here; print where it is; give the exit status.

    Parameters
    ----------
    which : str
        Number or name of a model, or "all".
    address : str or None
        Where from, as for `lowlight.zoo.registry.files_of`.

    Raises
    ------
    UserError
        As `lowlight.zoo.registry.files_of`, at the first model that cannot be had.
    """
    names = [entry["name"] for entry in registry.available()] if which == "all" else [which]
    for name in names:
        card, weights = registry.files_of(name, address)
        print(f"{card['name']}: {weights}")
    return 0


def _scores(entry, key, form) -> str:
    metrics = entry["metrics"] or {}
    values = [metrics.get(part, {}).get(key) for part in MEASURED_PARTS]
    return " / ".join("–" if value is None else format(value, form) for value in values)
