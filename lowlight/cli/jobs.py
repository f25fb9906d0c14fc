"""Which photos a run is about and where each result goes, decided before work starts."""

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import NamedTuple

from lowlight.cli.backup import BACKUP_SUFFIX, is_replaced
from lowlight.errors import UserError
from lowlight.inference.video import VIDEO_SUFFIXES, WRITTEN, clip_suffix, is_clip
from lowlight.io.formats import FORMATS, IMAGE_SUFFIXES, result_suffix
from lowlight.io.photo import count_frames, list_images
from lowlight.settings import PREDICTED, STANDARD_STREAM, EnhanceSettings, check_quality, option

KNOWN = IMAGE_SUFFIXES | VIDEO_SUFFIXES

NOT_WRITTEN = (KNOWN | {".gif"}) - {*FORMATS, *WRITTEN}
"""Endings of photos and clips that no result has."""

OF_PHOTOS = ("format", "quality", "max_megapixels")
"""Settings that change nothing of clips: told, and not refused, for they may stand in lowlight.toml."""

SIDE_FOLDERS = {"@eaDir", ".@__thumb", "__MACOSX"}
"""Where Synology, QNAP and macOS keep thumbnails and the like, named as the photos."""


class Job(NamedTuple):
    """One photo and where its result goes."""

    source: Path
    target: Path
    problem: str | None = None
    """Why it cannot be done; None if nothing is known against it."""
    frame: int | None = None
    """Which of several pictures in the file, from 1; None: the one that is the photo."""


class Found(NamedTuple):
    """A photo, or what cannot be read or searched."""

    path: Path
    below: Path
    """The path below the folder that was named."""
    problem: str | None = None
    frame: int | None = None
    """One of several pictures in it, if each has a result of its own."""


def plan(settings: EnhanceSettings) -> list[Job]:
    """Find the photos and give each result its place.

    Raises
    ------
    UserError
        If an input is missing, there is nothing to do, an option would change nothing, or results would be written
        over photos.
    """
    jobs = find(settings)
    if not jobs:
        others = ", ".join(f"{count} {what}" for what, count in left_out(settings).items())
        raise UserError(
            f"There are no photos to enhance. Received: {', '.join(map(str, settings.inputs))}. "
            + (f"Left out: {others}." if others else f"Known: {_names(IMAGE_SUFFIXES)}.")
        )
    _refuse_for_clips_alone(jobs, settings)
    jobs = _apart(jobs, settings)
    if not settings.in_place and not settings.piped:
        _refuse_overwriting(jobs)
    return jobs


def find(settings: EnhanceSettings) -> list[Job]:
    """The jobs as the inputs are now, each photo once, whether or not they get in each other's way.

    Raises
    ------
    UserError
        If an input is missing, or what is asked for cannot be done to any photo.
    """
    refuse_unknown_format(settings.ending)
    if settings.piped:
        return [Job(STANDARD_STREAM, STANDARD_STREAM)]
    if _into_one_file(settings):
        return [Job(settings.inputs[0], settings.output)]
    jobs: dict[str, Job] = {}
    for path in settings.inputs:
        for found in _photos(path, settings):
            for photo in _frames(found) if settings.all_frames else [found]:
                job = _in_place(photo) if settings.in_place else _job(photo, settings)
                jobs.setdefault(f"{key(job.source)} {job.frame}", job)
    return list(jobs.values())


def refuse_unknown_format(ending: str | None) -> None:
    """Can results be written with names that end so, if an ending is asked for?

    Raises
    ------
    UserError
        If not.
    """
    if ending and ending not in FORMATS:
        raise UserError(f"Photos cannot be written in that format. Received: {ending[1:]}. Known: {_names(FORMATS)}.")


def passed_over(settings: EnhanceSettings) -> Counter[str]:
    """Files in the folders that are no photos or clips that can be read, counted by the ends of their names."""
    kinds: Counter[str] = Counter()
    for seen in _searched(settings):
        with suppress(OSError):
            others = [path for path in seen if path.suffix.lower() not in KNOWN and path.is_file()]
            kinds.update(path.suffix.lower() or "nameless" for path in others)
    return kinds - Counter({BACKUP_SUFFIX: kinds[BACKUP_SUFFIX]})


def left_out(settings: EnhanceSettings) -> dict[str, int]:
    """How many things in the folders that could be photos, or hold some, are not taken, by words that tell why."""
    found: Counter[tuple[str, str]] = Counter()
    for seen in _searched(settings):
        with suppress(OSError):
            if not settings.recursive:
                found["subfolder", "(taken by --recursive)"] += sum(_is_searched(one, settings) for one in seen)
            linked = (one for one in seen if one.is_symlink())  # which may lead back
            found["linked folder", "(taken if named)"] += sum(_may_hold_photos(one, settings) for one in linked)
            found["clip", "(taken if named)"] += sum(is_clip(path) and path.is_file() for path in seen)
            lost = sum(path.suffix.lower() in KNOWN and not path.exists() for path in seen)
            found["link", "to nowhere (is a disk missing?)"] += lost
            called = (path for path in seen if _is_called_as_result(path, settings))
            results = sum(path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() for path in called)
            found["photo", f"called like a result (*{settings.name_suffix}; taken with another --suffix)"] += results
    return {f"{noun}{'s' * (count > 1)} {about}": count for (noun, about), count in (+found).items()}


def without_effect(jobs: Sequence[Job], settings: EnhanceSettings) -> list[str]:
    """Options that are given and change nothing of clips, where there are clips alone."""
    if not jobs or not all(is_clip(job.source) for job in jobs):
        return []
    return [option(name) for name in OF_PHOTOS if getattr(settings, name) is not None]


def output_folder(settings: EnhanceSettings) -> Path | None:
    """The folder of the results; None if they go to the photos' places or to standard output."""
    if settings.in_place or settings.piped:
        return None
    return settings.output.parent if _into_one_file(settings) else settings.output


def is_done(job: Job, settings: EnhanceSettings) -> bool:
    """Whether the result is there and may stay."""
    try:
        if settings.in_place:
            return is_replaced(job.target)
        return not (settings.overwrite or settings.piped) and job.target.is_file()
    except OSError:  # a name that is too long, or a folder that is closed: writing it will tell
        return False


def key(path: Path) -> str:
    """Equal for two names of one file, as far as names tell; A.jpg and a.jpg are one on Windows and macOS."""
    name = str(path.absolute())
    return name.casefold() if sys.platform in ("win32", "darwin") else name


def real(path: Path) -> Path:
    """Where links lead; for one that leads round in a ring the path itself."""
    try:
        return path.resolve()
    except RuntimeError:  # until Python 3.12
        return path


def _into_one_file(settings) -> bool:
    """Whether --output is a file's name and not a folder's."""
    output = settings.output
    if output == PREDICTED or output.suffix.lower() not in {*FORMATS, *WRITTEN, *NOT_WRITTEN} or _is_folder(output):
        return False
    if output.suffix.lower() in NOT_WRITTEN:
        raise UserError(
            f"Results cannot be written in that format. Received: --output {output}. Known: "
            f"{_names({*FORMATS, *WRITTEN})}."
        )
    if len(settings.inputs) > 1 or not settings.inputs[0].is_file() or settings.watch or settings.all_frames:
        for path in settings.inputs:
            any(_photos(path, settings))  # which tells of one that is not there
        raise UserError(
            f"One file cannot hold the results of many photos. Received: --output {output}. Give it a folder's name."
        )
    clip = is_clip(settings.inputs[0])
    if clip != (output.suffix.lower() in WRITTEN):
        raise UserError(
            f"{'A clip gives a clip' if clip else 'A photo gives a photo'}. Received: {settings.inputs[0]} with "
            f"--output {output}. Known: {_names(WRITTEN if clip else FORMATS)}."
        )
    if settings.format or settings.suffix:
        raise UserError(
            f"The result's name is given in full. Received: --output {output} with --format or --suffix. Give one."
        )
    check_quality(settings.quality, output.suffix.lower())
    return True


def _is_folder(path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long, or in a folder that is closed: writing it will tell
        return False


def _refuse_for_clips_alone(jobs, settings):
    given = [option(name) for name in ("frame", "all_frames") if getattr(settings, name)]
    if given and all(is_clip(job.source) for job in jobs):
        raise UserError(
            f"That is for photos that hold several pictures. Received: {' and '.join(given)} for {jobs[0].source}. "
            "Leave it out."
        )


def _photos(path, settings) -> Iterator[Found]:
    try:
        if path.is_dir():
            yield from _below(path, path, settings)
        elif path.exists() and not path.is_file():  # to open one may wait for ever
            yield Found(path, Path(path.name), f"{path} is a pipe or a device. Give its content by: - < {path}.")
        elif path.exists() or path.is_symlink():
            yield Found(path, Path(path.name))
        else:
            matches = _matches(path)
            if not matches:
                raise UserError(f"There is no such photo or folder. Received: {path}. Check its name.")
            for match in matches:
                yield from _photos(match, settings)
    except (OSError, ValueError, NotImplementedError) as error:  # a name that is too long, or no pattern
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"That is no photo or folder. Received: {path} ({reason}). Check its name.") from error


def _below(folder, root, settings) -> Iterator[Found]:
    """The photos of a folder; with --recursive those of its subfolders, too, but for links: they may lead back."""
    try:
        photos, entries = list_images(folder), sorted(folder.iterdir()) if settings.recursive else []
    except OSError as error:
        yield Found(folder, folder.relative_to(root), f"{folder} cannot be searched: {error.strerror}.")
        return
    for photo in photos:
        if not _is_called_as_result(photo, settings):
            yield Found(photo, photo.relative_to(root))
    for entry in entries:
        if _is_searched(entry, settings):
            yield from _below(entry, root, settings)


def _is_called_as_result(photo, settings) -> bool:
    return bool(settings.name_suffix) and photo.stem.endswith(settings.name_suffix)


def _searched(settings) -> Iterator[list[Path]]:
    """What is in each folder that is searched, but for what is hidden."""
    for root in settings.inputs:
        if not settings.piped and root.is_dir():
            for folder in _folders(root, settings):
                with suppress(OSError):
                    yield [path for path in folder.iterdir() if not path.name.startswith(".")]


def _folders(folder, settings) -> Iterator[Path]:
    yield folder
    with suppress(OSError):
        for entry in sorted(folder.iterdir()) if settings.recursive else []:
            if _is_searched(entry, settings):
                yield from _folders(entry, settings)


def _is_searched(entry, settings) -> bool:
    return not entry.is_symlink() and _may_hold_photos(entry, settings)


def _may_hold_photos(entry, settings) -> bool:
    if entry.name.startswith(".") or entry.name in SIDE_FOLDERS:
        return False
    # A folder has many names, such as ../photos/out and out.
    return entry.is_dir() and key(real(entry)) != key(real(settings.output))


def _frames(found) -> list[Found]:
    """A photo for each picture in a file, if there are several."""
    if found.problem or is_clip(found.path):
        return [found]
    try:
        frames = count_frames(found.path)
    except UserError:  # reading will tell
        return [found]
    return [found] if frames < 2 else [found._replace(frame=number) for number in range(1, frames + 1)]


def _matches(pattern) -> list[Path]:
    """What a pattern names, as the shell would have it: no hidden files; of other files only photos and clips."""
    if not re.search(r"[*?[]", str(pattern)):
        return []
    found = Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
    visible = (path for path in found if not path.name.startswith("."))
    return sorted(path for path in visible if path.is_dir() or path.suffix.lower() in KNOWN)


def _job(photo, settings) -> Job:
    suffix = (f"_{photo.frame:03}" if photo.frame else "") + settings.name_suffix
    target = settings.output / photo.below.parent / result_name(photo.path, settings.ending, suffix)
    return Job(photo.path, target, photo.problem, photo.frame or settings.frame)


def result_name(path: PurePath, ending: str | None, suffix: str) -> str:
    """The name of a photo's or clip's result.

    Parameters
    ----------
    path : PurePath
        Of the photo.
    ending : str or None
        What all results of photos end in; None if each ends as its photo's.
    suffix : str
        Added to the name.
    """
    chosen = (None if is_clip(path) else ending) or _own_suffix(path)
    # An ending that cannot be kept is part of the name: scan.v2 becomes scan.v2.png, and IMG.dng beside IMG.tif stays
    # apart from it as IMG.dng.tif.
    replaced = ending or is_clip(path) or path.suffix.lower() in FORMATS
    return f"{path.stem if replaced else path.name}{suffix}{chosen}"


def _in_place(photo) -> Job:
    path = real(photo.path)  # a link stays one
    if photo.problem is None and path.suffix != _own_suffix(path):
        return Job(
            path, path, f"{path} cannot be written in its own format, so not in its place: give --output a folder."
        )
    return Job(path, path, photo.problem)


def _own_suffix(path) -> str:
    """What the result's name ends in: as the photo's own where that can be written."""
    if is_clip(path):
        return clip_suffix(path.suffix)
    return path.suffix if path.suffix.lower() in FORMATS else result_suffix(path.suffix)


def _apart(jobs: Sequence[Job], settings) -> list[Job]:
    """Results of one name get the whole names of their photos: a.jpg beside a.png becomes a.jpg.png.

    Photos of one name from several folders cannot be told apart so: all but the first are told, and left.
    """
    many = Counter(key(job.target) for job in jobs)
    first: dict[str, Job] = {}
    apart = []
    for job in jobs:
        ending = job.target.suffix
        if many[key(job.target)] > 1 and job.source.suffix.lower() != ending.lower():
            number = f"_{job.frame:03}" if settings.all_frames and job.frame else ""
            job = job._replace(target=job.target.with_name(f"{job.source.name}{number}{settings.name_suffix}{ending}"))
        other = first.setdefault(key(job.target), job)
        if other is not job and job.problem is None:
            job = job._replace(
                problem=f"{job.source} and {other.source} would write one result: enhance it into another folder."
            )
        apart.append(job)
    return apart


def _refuse_overwriting(jobs: Sequence[Job]):
    sources = {real(job.source) for job in jobs}
    for job in jobs:
        if real(job.target) in sources:
            raise UserError(
                f"A result would be written over a photo. Received: {job.target}. Give --output another folder, or "
                "--suffix."
            )


def _names(suffixes) -> str:
    return ", ".join(sorted(suffix.removeprefix(".") for suffix in suffixes))
