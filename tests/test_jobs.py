"""Which photos are found and where their results go, before anything is run."""

import os
from pathlib import Path

import pytest
from PIL import Image

from lowlight.cli.jobs import find, is_done, left_out, passed_over, plan, without_effect
from lowlight.errors import UserError
from lowlight.settings import EnhanceSettings


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def places(tmp_path, *inputs, **options):
    """What goes where, below the folder of the test."""
    settings = EnhanceSettings(inputs, options.pop("output", tmp_path / "out"), **options)
    below = {job.source.relative_to(tmp_path): job.target.relative_to(tmp_path) for job in plan(settings)}
    return {str(source): str(target) for source, target in below.items()}


def test_photos_that_would_write_one_result_get_it_under_their_whole_names(tmp_path):
    touch(tmp_path / "in", "a.jpg", "a.png", "b.jpg", "c.tif", "c.webp")
    assert places(tmp_path, tmp_path / "in", format="png") == {
        "in/a.jpg": "out/a.jpg.png",
        "in/a.png": "out/a.png",
        "in/b.jpg": "out/b.png",
        "in/c.tif": "out/c.tif.png",
        "in/c.webp": "out/c.webp.png",
    }


@pytest.mark.parametrize("option", [{"frame": 2}, {"all_frames": True}])
def test_what_changes_nothing_of_clips_is_refused_for_clips_alone(option, tmp_path):
    touch(tmp_path, "a.mp4", "b.webp")
    with pytest.raises(UserError, match=f"Received: --{next(iter(option)).replace('_', '-')} for .*a.mp4"):
        plan(EnhanceSettings((tmp_path / "a.mp4",), tmp_path / "out", **option))
    assert plan(EnhanceSettings((tmp_path / "a.mp4", tmp_path / "b.webp"), tmp_path / "out", **option))


@pytest.mark.parametrize("option", [{"quality": 80}, {"format": "png"}, {"max_megapixels": 9.0}])
def test_what_may_stand_in_a_file_of_settings_and_changes_nothing_of_clips_is_told(option, tmp_path):
    touch(tmp_path, "a.mp4", "b.webp")
    clip, photo = tmp_path / "a.mp4", tmp_path / "b.webp"
    told = [f"--{name.replace('_', '-')}" for name in option]
    for inputs, expected in (((clip,), told), ((photo,), []), ((clip, photo), [])):
        settings = EnhanceSettings(inputs, tmp_path / "out", **option)
        assert without_effect(plan(settings), settings) == expected


@pytest.mark.parametrize(("name", "output"), [("a.mp4", "x.png"), ("b.jpg", "x.mov")])
def test_a_clip_gives_a_clip_and_a_photo_a_photo(name, output, tmp_path):
    touch(tmp_path, name)
    with pytest.raises(UserError, match=rf"Received: .*{name} with --output .*{output}\. Known: "):
        plan(EnhanceSettings((tmp_path / name,), tmp_path / output))


def test_of_photos_of_one_name_from_two_folders_the_second_is_told(photos, tmp_path):
    touch(tmp_path, "other/night 1.png", "other/night 9.png")
    jobs = plan(EnhanceSettings((photos, tmp_path / "other"), tmp_path / "out"))
    assert [job.source.name for job in jobs if job.problem] == ["night 1.png"]
    assert "one result" in next(job.problem for job in jobs if job.problem)
    assert len(places(tmp_path, photos, photos / "night 1.png")) == 3


def test_each_picture_of_a_file_has_a_result_on_demand(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    (tmp_path / "in").mkdir()
    frames[0].save(tmp_path / "in" / "scan.tif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "in" / "one.png")
    (tmp_path / "in" / "broken.jpg").touch()
    jobs = plan(EnhanceSettings((tmp_path / "in",), tmp_path / "out", all_frames=True))
    assert [(job.target.name, job.frame) for job in jobs] == [
        ("broken.jpg", None),
        ("one.png", None),
        ("scan_001.tif", 1),
        ("scan_002.tif", 2),
        ("scan_003.tif", 3),
    ]
    (job,) = plan(EnhanceSettings((tmp_path / "in" / "scan.tif",), tmp_path / "out", frame=2))
    assert (job.target.name, job.frame) == ("scan.tif", 2)


def test_side_folders_of_disks_in_the_net_are_left_out_and_other_kinds_counted(tmp_path):
    touch(tmp_path / "in", "a.jpg", "@eaDir/a.jpg", ".@__thumb/a.jpg", "__MACOSX/a.jpg", "b.gif", "c.GIF", "d.txt")
    touch(tmp_path / "in", "a.jpg.orig", ".hidden.txt", "sub/e.gif")
    assert places(tmp_path, tmp_path / "in", recursive=True) == {"in/a.jpg": "out/a.jpg"}
    settings = EnhanceSettings((tmp_path / "in",), tmp_path / "out", recursive=True)
    assert passed_over(settings) == {".gif": 3, ".txt": 1}
    assert passed_over(EnhanceSettings((tmp_path / "in",), tmp_path / "out")) == {".gif": 2, ".txt": 1}
    assert left_out(settings) == {}
    assert list(left_out(EnhanceSettings((tmp_path / "in",), tmp_path / "out")).values()) == [1]  # sub alone


def test_subfolders_are_searched_on_demand_and_their_tree_is_kept(tmp_path):
    touch(tmp_path / "in", "a.jpg", "day 1/a.jpg", "day 1/deep/b.png", "day 1/notes.txt", ".hidden/c.jpg", "d/.e.jpg")
    assert places(tmp_path, tmp_path / "in") == {"in/a.jpg": "out/a.jpg"}
    assert places(tmp_path, tmp_path / "in", recursive=True) == {
        "in/a.jpg": "out/a.jpg",
        "in/day 1/a.jpg": "out/day 1/a.jpg",
        "in/day 1/deep/b.png": "out/day 1/deep/b.png",
    }


def test_links_that_lead_in_circles_are_not_followed_and_a_folder_may_be_named_as_a_photo(tmp_path):
    touch(tmp_path / "in", "a.jpg/b.jpg", "sub/c.jpg")
    (tmp_path / "in" / "sub" / "up").symlink_to(tmp_path / "in", target_is_directory=True)
    (tmp_path / "in" / "self").symlink_to("self")
    (tmp_path / "in" / "gone.jpg").symlink_to("nowhere")
    expected = {"in/a.jpg/b.jpg": "out/a.jpg/b.jpg", "in/sub/c.jpg": "out/sub/c.jpg"}
    assert places(tmp_path, tmp_path / "in", recursive=True) == expected
    assert places(tmp_path, tmp_path / "in" / "**" / "c.jpg") == {"in/sub/c.jpg": "out/c.jpg"}
    (tmp_path / "in" / "ring.jpg").symlink_to("ring.jpg")  # if it is named, reading tells
    assert places(tmp_path, tmp_path / "in" / "ring.jpg") == {"in/ring.jpg": "out/ring.jpg"}


@pytest.mark.skipif(os.name != "posix", reason="named pipes of POSIX")
def test_a_pipe_is_told_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (job,) = plan(EnhanceSettings((tmp_path / "pipe.jpg",), tmp_path / "out"))
    assert job.problem == f"{tmp_path}/pipe.jpg is a pipe or a device. Give its content by: - < {tmp_path}/pipe.jpg."


def test_results_inside_the_searched_tree_are_not_taken_for_photos(tmp_path):
    touch(tmp_path / "in", "a.jpg", "out/a.jpg", "out/b/c.jpg")
    options = {"recursive": True, "output": tmp_path / "in" / "out"}
    assert places(tmp_path, tmp_path / "in", **options) == {"in/a.jpg": "in/out/a.jpg"}


def test_results_inside_the_searched_tree_are_not_taken_for_photos_by_another_name_of_it_either(tmp_path, monkeypatch):
    touch(tmp_path / "in", "a.jpg", "sub/b.jpg", "out/a.jpg", "out/sub/b.jpg")
    monkeypatch.chdir(tmp_path / "in")
    jobs = plan(EnhanceSettings((Path("../in"),), Path("out"), recursive=True))
    assert [job.source for job in jobs] == [Path("../in/a.jpg"), Path("../in/sub/b.jpg")]


def test_patterns_that_no_shell_expanded_find_photos_and_folders_but_nothing_hidden(tmp_path, monkeypatch):
    touch(tmp_path / "in", "a.jpg", "b.JPG", "c.txt", ".d.jpg", "sub/e.png")
    assert places(tmp_path, tmp_path / "in" / "*.[jJ]*") == {"in/a.jpg": "out/a.jpg", "in/b.JPG": "out/b.JPG"}
    assert set(places(tmp_path, tmp_path / "in" / "*")) == {"in/a.jpg", "in/b.JPG", "in/sub/e.png"}
    monkeypatch.chdir(tmp_path / "in" / "sub")
    (job,) = plan(EnhanceSettings((Path("../?.jpg"),), tmp_path / "out"))
    assert job.source.resolve() == tmp_path / "in" / "a.jpg"
    with pytest.raises(UserError, match="no such photo"):
        places(tmp_path, tmp_path / "in" / "*.webp")


def test_a_name_that_looks_like_a_pattern_is_a_name_first(tmp_path):
    touch(tmp_path, "night[1].jpg", "night1.jpg")
    assert places(tmp_path, tmp_path / "night[1].jpg") == {"night[1].jpg": "out/night[1].jpg"}


def test_one_photo_may_be_given_the_file_of_its_result(tmp_path):
    touch(tmp_path, "a.png", "b.png")
    assert places(tmp_path, tmp_path / "a.png", output=tmp_path / "new" / "x.jpg") == {"a.png": "new/x.jpg"}
    with pytest.raises(UserError, match="many photos"):
        places(tmp_path, tmp_path / "a.png", tmp_path / "b.png", output=tmp_path / "x.jpg")
    with pytest.raises(UserError, match="many photos"):
        places(tmp_path, tmp_path, output=tmp_path / "x.jpg")
    with pytest.raises(UserError, match="many photos"):
        places(tmp_path, tmp_path / "a.png", output=tmp_path / "x.jpg", all_frames=True)
    with pytest.raises(UserError, match="no such photo or folder. Received: .*nigth.png"):
        places(tmp_path, tmp_path / "nigth.png", output=tmp_path / "x.jpg")
    with pytest.raises(UserError, match="lose nothing, so they have no quality. Received: --quality 80 for png"):
        places(tmp_path, tmp_path / "a.png", output=tmp_path / "x.png", quality=80)
    for option in ({"format": "png"}, {"suffix": "_b"}):
        with pytest.raises(UserError, match="name is given in full. Received: --output .*x.jpg"):
            places(tmp_path, tmp_path / "a.png", output=tmp_path / "x.jpg", **option)
    (tmp_path / "album.jpg").mkdir()
    assert places(tmp_path, tmp_path / "a.png", output=tmp_path / "album.jpg") == {"a.png": "album.jpg/a.png"}
    with pytest.raises(UserError, match="over a photo"):
        places(tmp_path, tmp_path / "a.png", output=tmp_path / "a.png")


def test_links_in_a_folder_that_lead_nowhere_are_counted(tmp_path):
    touch(tmp_path / "in", "a.jpg")
    (tmp_path / "in" / "b.jpg").symlink_to(tmp_path / "unplugged" / "b.jpg")
    (tmp_path / "in" / "c.jpg").symlink_to(tmp_path / "in" / "a.jpg")
    assert list(places(tmp_path, tmp_path / "in")) == ["in/a.jpg", "in/c.jpg"]
    settings = EnhanceSettings((tmp_path / "in",), tmp_path / "out")
    assert left_out(settings) == {"link to nowhere (is a disk missing?)": 1}


def test_links_to_folders_are_counted_also_with_those_below(tmp_path):
    touch(tmp_path, "in/a.jpg", "in/sub/b.jpg", "disk/c.jpg", "out/d.jpg")
    for name, folder in (("in/linked", "disk"), ("in/results", "out"), ("in/.hidden", "disk")):
        (tmp_path / name).symlink_to(tmp_path / folder, target_is_directory=True)
    for recursive in (False, True):
        settings = EnhanceSettings((tmp_path / "in",), tmp_path / "out", recursive=recursive)
        assert left_out(settings) == {
            **({} if recursive else {"subfolder (taken by --recursive)": 1}),
            "linked folder (taken if named)": 1,
        }


def test_photos_that_are_called_as_results_are_left_out_and_counted(tmp_path):
    touch(tmp_path / "in", "night.jpg", "party_1.jpg", "party_2.jpg", "notes_1.txt")
    assert list(places(tmp_path, tmp_path / "in", suffix="_1")) == ["in/night.jpg", "in/party_2.jpg"]
    settings = EnhanceSettings((tmp_path / "in",), tmp_path / "out", suffix="_1")
    assert left_out(settings) == {"photo called like a result (*_1; taken with another --suffix)": 1}


def test_where_there_are_photos_in_subfolders_alone_it_is_told_what_takes_them(tmp_path):
    touch(tmp_path, "DCIM/100CANON/a.jpg", "DCIM/101CANON/b.jpg", "DCIM/c.mp4")
    said = r"Received: .*DCIM. Left out: 2 subfolders \(taken by --recursive\), 1 clip \(taken"
    with pytest.raises(UserError, match=said):
        places(tmp_path, tmp_path / "DCIM")


def test_a_photo_that_is_not_there_is_told_as_such_also_where_its_result_is_given_a_file(tmp_path):
    with pytest.raises(UserError, match="There is no such photo or folder. Received: .*nigth.jpg"):
        places(tmp_path, tmp_path / "nigth.jpg", output=tmp_path / "x.jpg")


@pytest.mark.parametrize("ending", [".gif", ".jxl", ".JP2", ".dng", ".avi"])
def test_a_result_in_a_format_that_is_not_written_is_refused_and_a_folder_of_such_a_name_taken(ending, tmp_path):
    touch(tmp_path, "a.png")
    output = tmp_path / f"night{ending}"
    with pytest.raises(UserError, match=rf"^Results cannot .* Received: --output .*night{ending}. Known: avif, bmp"):
        places(tmp_path, tmp_path / "a.png", output=output)
    output.mkdir()
    assert places(tmp_path, tmp_path / "a.png", output=output) == {"a.png": f"night{ending}/a.png"}


def test_a_suffix_lets_results_lie_beside_photos_and_a_second_run_does_not_take_them_for_photos(tmp_path):
    touch(tmp_path, "a.jpg")
    with pytest.raises(UserError, match="over a photo"):
        places(tmp_path, tmp_path, output=tmp_path)
    once = places(tmp_path, tmp_path, output=tmp_path, suffix="_bright")
    assert once == {"a.jpg": "a_bright.jpg"}
    touch(tmp_path, "a_bright.jpg")
    assert places(tmp_path, tmp_path, output=tmp_path, suffix="_bright") == once


def test_comparisons_have_names_of_their_own(tmp_path):
    touch(tmp_path, "a.jpg")
    assert places(tmp_path, tmp_path, compare=True) == {"a.jpg": "out/a_compare.jpg"}
    assert places(tmp_path, tmp_path, compare=True, suffix="") == {"a.jpg": "out/a.jpg"}


def test_endings_stay_change_on_demand_and_are_added_where_they_say_nothing(tmp_path):
    touch(tmp_path, "a.JPG", "scan.v2")
    inputs = tmp_path / "a.JPG", tmp_path / "scan.v2"
    assert list(places(tmp_path, *inputs).values()) == ["out/a.JPG", "out/scan.v2.png"]
    assert list(places(tmp_path, *inputs, format=".WebP").values()) == ["out/a.webp", "out/scan.webp"]
    with pytest.raises(UserError, match="cannot be written in that format. Received: raw. Known: avif, bmp"):
        places(tmp_path, *inputs, format="raw")


def test_in_place_a_link_stays_one_and_its_photo_is_found_once(photos):
    (photos / "link.png").symlink_to(photos / "night 1.png")
    jobs = plan(EnhanceSettings((photos,), in_place=True))
    assert [job.source.name for job in jobs] == ["night 1.png", "night 0.png", "night 2.png"]
    assert all(job.source == job.target for job in jobs)


def test_a_photo_whose_format_cannot_be_written_has_no_result_in_its_place(tmp_path):
    touch(tmp_path, "scan")
    (job,) = plan(EnhanceSettings((tmp_path / "scan",), in_place=True))
    assert "cannot be written in its own format" in job.problem


def test_a_folder_that_cannot_be_searched_does_not_hide_the_others(tmp_path, monkeypatch):
    touch(tmp_path / "in", "a.jpg", "locked/b.jpg")

    def guarded(folder):
        if folder.name == "locked":
            raise PermissionError(13, "Permission denied")
        return [tmp_path / "in" / "a.jpg"]

    monkeypatch.setattr("lowlight.cli.jobs.list_images", guarded)
    good, bad = find(EnhanceSettings((tmp_path / "in",), tmp_path / "out", recursive=True))
    assert good.problem is None
    assert bad.problem == f"{tmp_path / 'in' / 'locked'} cannot be searched: Permission denied."


def test_names_too_long_or_impossible_are_told_in_a_line(tmp_path):
    for name in ("n" * 5000, "a\0b", "**x/*.jpg"):
        with pytest.raises(UserError, match="Received: "):
            plan(EnhanceSettings((tmp_path / name,), tmp_path / "out"))


def test_a_result_whose_place_cannot_be_looked_at_fails_as_it_is_written_and_the_system_is_not_quoted(photos, tmp_path):
    (job,) = plan(EnhanceSettings((photos / "night 0.png",), tmp_path / f"{'n' * 300}.png"))
    assert job.target.parent == tmp_path
    with pytest.raises(UserError, match=r"nnn \(File name too long\)"):
        plan(EnhanceSettings((tmp_path / ("n" * 300),), tmp_path / "out"))


def test_a_result_is_done_when_it_is_a_file(photos, tmp_path):
    settings = EnhanceSettings((photos / "night 0.png",), tmp_path / "out")
    (job,) = plan(settings)
    job.target.mkdir(parents=True)
    assert not is_done(job, settings)
    job.target.rmdir()
    Image.new("RGB", (1, 1)).save(job.target)
    assert is_done(job, settings)
    assert not is_done(job, EnhanceSettings((photos,), tmp_path / "out", overwrite=True))


@pytest.mark.parametrize(
    "options",
    [
        {"in_place": True, "overwrite": True},
        {"in_place": True, "suffix": "_b"},
        {"in_place": True, "format": "png"},
        {"in_place": True, "compare": True},
        {"quiet": True, "verbose": True},
        {"watch": True, "dry_run": True},
        {"all_frames": True, "frame": 2},
        {"all_frames": True, "in_place": True},
        {"frame": 0},
        {"frame": -1},
        {"suffix": "a/b"},
        {"quality": 0},
        {"quality": 101},
        {"quality": 90, "format": "PNG"},
        {"max_megapixels": 0},
        {"max_megapixels": float("nan")},
    ],
)
def test_settings_that_contradict_each_other_or_cannot_be_are_refused(options):
    with pytest.raises(UserError, match="Received: "):
        EnhanceSettings(**options)
