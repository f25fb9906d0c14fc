"""What can be asked for by name: lowlight COMMAND, and the scripts at the top of the project."""

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lowlight.cli.parse import DEFAULT, parse
from lowlight.errors import UserError
from lowlight.settings import (
    AverageSettings,
    CompletionSettings,
    EnhanceSettings,
    ExportSettings,
    ModelsSettings,
    PerformanceSettings,
    TrainingSettings,
)
from lowlight.system import EXIT_USAGE, spinner, train_by_onednn

# What a command runs is imported by it, so that its --help and its errors do not wait for TensorFlow.


def enhance(settings: EnhanceSettings) -> int:
    """Enhance photos, or answer a question about the program; gives the exit status."""
    from lowlight.cli.info import answer

    status = answer(settings)
    if status is None:
        from lowlight.cli.batch import enhance_all

        status = enhance_all(settings)
    return status


def train(settings: TrainingSettings, generation: str | None = None) -> int:
    """Train a model; of one generation alone, where that is named."""
    from lowlight.zoo.recipes import recipe

    generation = recipe(settings.model, generation).generation
    train_by_onednn()
    with spinner("loading TensorFlow"):
        from lowlight.training.trainer import train

    train(settings, generation)
    return 0


def measure(settings: PerformanceSettings, generation: str | None = None) -> int:
    """Train a model and measure it, or measure what is there."""
    from lowlight.zoo.recipes import recipe

    if generation is None:
        generation = recipe(settings.model).generation if settings.model is not None else "latest"
    with spinner("loading what measures"):
        from lowlight.benchmark.run import perform

    perform(settings, generation)
    return 0


def average(settings: AverageSettings) -> int:
    """Write the mean of the weights of several models."""
    with spinner("loading TensorFlow"):
        from lowlight.training.average import average

    average(settings)
    return 0


def serve(settings: Any) -> int:
    """Serve the page until Ctrl-C."""
    with spinner("loading the page"):
        from lowlight.web.server import serve

    return serve(settings)


def export(settings: ExportSettings) -> int:
    """Write a model for another runtime."""
    from lowlight.export.run import export

    export(settings)
    return 0


def models(settings: ModelsSettings) -> int:
    """Show the models, or download some.

    Raises
    ------
    UserError
        If an option would change nothing, and as `lowlight.cli.info`.
    """
    from lowlight.cli import info

    if settings.models_url and not settings.download:
        raise UserError("Nothing is downloaded. Received: --models-url without --download. Give both, or leave it out.")
    return info.download(settings.download, settings.models_url) if settings.download else info.show()


def completion(settings: CompletionSettings) -> int:
    """Print what makes a shell complete the commands and their options."""
    from lowlight.cli import complete

    kinds = {name: (command.kind(), command.purpose) for name, command in COMMANDS.items()}
    print(complete.script(settings.shell, kinds, EnhanceSettings), end="")
    return 0


def cluster(settings: Any) -> int:
    """Enhance a folder or a bucket on a Ray cluster; gives the exit status."""
    from lowlight.cluster.run import enhance_all

    return enhance_all(settings)


class Command(NamedTuple):
    """A command: its settings, and what it does by them."""

    kind: Callable[[], type]
    """The dataclass of its settings."""
    run: Callable[[Any], int]
    purpose: str
    """The first lines of its --help."""


def _serve_settings() -> type:
    from lowlight.web.settings import ServeSettings

    return ServeSettings


def _cluster_settings() -> type:
    from lowlight.cluster.settings import ClusterSettings

    return ClusterSettings


COMMANDS = {
    "enhance": Command(
        lambda: EnhanceSettings,
        enhance,
        "Enhance dark photos, folders of them, and clips; the photos stay as they are.\n\nExit status: 0 all done, 1 "
        "some photos failed, 2 nothing was begun, 130 Ctrl-C.",
    ),
    "cluster": Command(
        _cluster_settings,
        cluster,
        "Enhance all photos below a folder or a bucket on a Ray cluster; lowlight IN -o OUT --engine ray is short for "
        "it.\n\nResults that exist are skipped, so the same command goes on where it stopped. Exit status: 0 all done, "
        "1 some photos failed, 2 nothing was begun, 130 Ctrl-C.",
    ),
    "train": Command(
        lambda: TrainingSettings,
        train,
        "Train one model of the ladder; the same command goes on after a crash or Ctrl-C.",
    ),
    "measure": Command(
        lambda: PerformanceSettings, measure, "Train one model and measure it, or measure what is trained."
    ),
    "average": Command(
        lambda: AverageSettings,
        average,
        "Write the mean of the weights of models that went on from the same ones: most of what each learnt.",
    ),
    "serve": Command(_serve_settings, serve, "Serve a page to drop photos on, to this machine alone, until Ctrl-C."),
    "export": Command(
        lambda: ExportSettings, export, "Write a model for another runtime, compared with Keras before it is kept."
    ),
    "models": Command(lambda: ModelsSettings, models, "Show the models that there are, with their scores."),
    "completion": Command(
        lambda: CompletionSettings,
        completion,
        """Print what makes a shell complete commands, options and the names of files.

    eval "$(lowlight completion bash)"   # in ~/.bashrc
    eval "$(lowlight completion zsh)"    # in ~/.zshrc, after compinit
    lowlight completion fish | source    # in ~/.config/fish/config.fish""",
    ),
}


def dispatch(words: Sequence[str], overview: str) -> int:
    """Run the command that the first word names, or enhance what the words name; gives the exit status.

    Parameters
    ----------
    words : sequence of str
        Of the command line, without the program's name.
    overview : str
        The answer to --help without a command, and to no words where there are no samples to enhance.

    Raises
    ------
    UserError
        As the command does.
    """
    if list(words) in (["-h"], ["--help"]):
        print(overview.strip())
        return 0
    name = words[0] if words and words[0] in COMMANDS else DEFAULT
    if words and name == DEFAULT:
        _refuse_misspelt(words[0])
    name, rest = _with_ray(name, list(words[1:] if words and words[0] == name else words))
    command = COMMANDS[name]
    settings: Any = parse(command.kind(), command.purpose, rest, f"lowlight {name}", name)
    if settings == EnhanceSettings() and not settings.inputs[0].exists():  # nothing is asked for, nor are there samples
        print(overview.strip())
        return EXIT_USAGE
    return command.run(settings)


def enhance_by_script(words: Sequence[str], description: str | None) -> int:
    """Enhance what words name, as main.py does, which has no other commands; gives the exit status.

    Parameters
    ----------
    words : sequence of str
        Of the command line, without the program's name.
    description : str or None
        The first lines of --help.

    Raises
    ------
    UserError
        As enhancing does.
    """
    name, rest = _with_ray(DEFAULT, list(words))
    command = COMMANDS[name]
    return command.run(parse(command.kind(), description if name == DEFAULT else command.purpose, rest, command=name))


def _refuse_misspelt(word):
    """A word that is like a command, and no photo either: its options are not those of enhancing."""
    meant = difflib.get_close_matches(word, COMMANDS, 1, cutoff=0.7)
    if meant and meant[0] != word and word.isalpha() and not Path(word).exists():
        raise UserError(
            f"There is no such command, photo or folder. Received: {word}. Perhaps you meant {meant[0]}. See --help."
        )


def _with_ray(name, words) -> tuple[str, list[str]]:
    """The command that is meant, and its words: --engine ray is no engine for a model but one for many machines."""
    pair = ["--engine", "ray"]
    chosen = {i + k for i in range(len(words)) if words[i : i + 2] == pair for k in range(2)}
    without = [word for i, word in enumerate(words) if i not in chosen and word != "--engine=ray"]
    return ("cluster", without) if name == DEFAULT and without != words else (name, words)
