"""Video streams: unusual and missing streams, and the previews that are made of them."""

import subprocess

import pytest
from PIL import Image

from resultstore import BadInput
from resultstore_tasks.videos.ffprobe import probe
from tests.tasks.videos.films import BT601, BT709, FFMPEG, NEAR, X264, bars, colors, film, off, pieces, streams

TONE = ("-f", "lavfi", "-i", "sine=duration=1")
SUBTITLES = "1\n00:00:00,000 --> 00:00:01,000\nhello\n"
EXTRAS = {
    "srt in Matroska": ("mkv", (*TONE, "-i", "s.srt"), ("-c:a", "aac", "-c:s", "srt"), "aac"),
    "text in MP4": ("mp4", (*TONE, "-i", "s.srt"), ("-c:a", "aac", "-c:s", "mov_text"), "aac"),
    "24-bit sound": ("mov", TONE, ("-c:a", "pcm_s24le"), "aac"),
    "sound of an unsupported codec": ("mkv", TONE, ("-c:a", "wmav2"), None),
    "a second sound": ("mkv", (*TONE, *TONE), ("-map", "1", "-map", "2", "-c:a:0", "wmav2", "-c:a:1", "aac"), "aac"),
    "a cover": ("mkv", ("-i", "cover.png"), ("-map", "1", "-c:v:1", "png", "-disposition:v:1", "attached_pic"), None),
}


@pytest.mark.parametrize("name", EXTRAS)
def test_streams_that_are_not_needed_do_no_harm(tmp_path, name):
    suffix, inputs, options, sound = EXTRAS[name]
    (tmp_path / "s.srt").write_text(SUBTITLES)
    Image.new("RGB", (900, 900), "red").save(tmp_path / "cover.png")
    film(tmp_path / "plain.mp4", bars(320, 180), *X264, *BT709, matrix="bt709")
    maps = ("-map", "0:v") if "-map" in options else ()
    command = [*FFMPEG, "-i", "plain.mp4", *inputs, *maps, *options, "-c:v:0", "copy", f"film.{suffix}"]
    subprocess.run(command, cwd=tmp_path, check=True)
    path = (tmp_path / f"film.{suffix}").rename(tmp_path / "video")

    found = {name: off(colors(picture)) for name, picture in pieces(path).items()}

    assert max(found.values()) <= NEAR, found
    codecs = {one["codec_type"]: one["codec_name"] for one in streams(tmp_path / "preview.mp4")}
    assert codecs == {"video": "h264"} | ({"audio": sound} if sound else {})


def test_sound_that_cannot_be_decoded_costs_no_picture(tmp_path):
    film(tmp_path / "plain.mp4", bars(320, 180), *X264, *BT709, matrix="bt709")
    command = [*FFMPEG, "-i", "plain.mp4", *TONE, "-c:v", "copy", "-c:a", "aac", "film.mkv"]
    subprocess.run(command, cwd=tmp_path, check=True)
    content = (tmp_path / "film.mkv").read_bytes()
    at = content.index(b"A_AAC")
    path = tmp_path / "video"
    path.write_bytes(content[:at] + b"A_AC3" + content[at + 5 :])  # it names another codec than it has

    assert probe(path).sound is not None
    assert off(colors(pieces(path)["mp4"])) <= NEAR


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("prores", ("-c:v", "prores_ks", "-pix_fmt", "yuv422p10le")),
        ("mpeg2video", ("-c:v", "mpeg2video", "-q:v", "2")),
        ("ffv1", ("-c:v", "ffv1", "-pix_fmt", "bgr0")),
    ],
)
def test_codecs_of_editors_are_read(tmp_path, codec, options):
    plain = film(tmp_path / "plain.mp4", bars(320, 180), *X264, *BT601, matrix="smpte170m")
    path = tmp_path / ("video.mkv" if codec == "ffv1" else "video.mov")
    subprocess.run([*FFMPEG, "-i", str(plain), *options, str(path)], check=True)

    assert probe(path).codec == codec
    found = {name: off(colors(picture)) for name, picture in pieces(path).items()}
    assert max(found.values()) <= NEAR + 4, found


def test_a_codec_that_is_not_read_is_named(tmp_path):
    path = tmp_path / "video.mov"
    source = ("-f", "lavfi", "-i", "testsrc2=s=64x64:d=0.2")
    subprocess.run([*FFMPEG, *source, "-c:v", "qtrle", str(path)], check=True)

    with pytest.raises(BadInput, match=r"coded as qtrle, which is not read here; send H\.264") as refused:
        probe(path)
    assert "0x" not in str(refused.value)


def test_a_reason_names_no_address_in_memory(tmp_path):
    path = tmp_path / "video"
    path.write_bytes(b"\x1aE\xdf\xa3" + bytes(64))

    with pytest.raises(BadInput) as refused:
        probe(path)
    assert "0x" not in str(refused.value)


def test_a_recording_without_length_gets_pieces(tmp_path):
    film(tmp_path / "plain.mp4", bars(320, 180), *X264, matrix="smpte170m")
    command = [*FFMPEG, "-stream_loop", "2", "-i", "plain.mp4", "-c:v", "libvpx", "-deadline", "realtime"]
    # A pipe cannot seek: the header has no length, like a browser's recording.
    recorded = subprocess.run([*command, "-f", "webm", "-"], cwd=tmp_path, capture_output=True, check=True).stdout
    path = tmp_path / "video"
    path.write_bytes(recorded)

    video = probe(path)

    assert video.duration_s == pytest.approx(3, abs=0.2)
    assert off(colors(pieces(path)["jpeg"])) <= NEAR


@pytest.mark.parametrize("coded", [("-f", "mp4", *X264), ("-c:v", "libvpx", "-live", "1", "-f", "webm")])
def test_a_film_of_one_frame_gets_pieces(tmp_path, coded):
    film(tmp_path / "plain.mp4", bars(320, 180), *X264, *BT601, matrix="smpte170m")
    path = tmp_path / "video"
    subprocess.run([*FFMPEG, "-i", str(tmp_path / "plain.mp4"), "-frames:v", "1", *coded, str(path)], check=True)

    for picture in pieces(path).values():
        assert off(colors(picture)) <= NEAR


def test_video_with_longer_sound_gets_a_poster(tmp_path):
    film(tmp_path / "plain.mp4", bars(320, 180), *X264, *BT709, matrix="bt709")
    path = tmp_path / "video.mp4"
    sound = ("-f", "lavfi", "-i", "sine=duration=60")
    command = [*FFMPEG, "-i", str(tmp_path / "plain.mp4"), *sound, "-frames:v", "2", "-c:v", "copy", str(path)]
    subprocess.run(command, check=True)

    assert off(colors(pieces(path)["jpeg"])) <= NEAR


def test_chapters_are_not_told(tmp_path):
    film(tmp_path / "plain.mp4", bars(320, 180), *X264, matrix="smpte170m")
    chapters = ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=900\ntitle=At the dentist\n"
    (tmp_path / "chapters.txt").write_text(chapters)
    command = [*FFMPEG, "-i", "plain.mp4", "-i", "chapters.txt", "-map_chapters", "1", "-c", "copy", "video.mp4"]
    subprocess.run(command, cwd=tmp_path, check=True)
    path = tmp_path / "video.mp4"
    assert b"dentist" in path.read_bytes()

    pieces(path)

    assert not [
        one for one in ("poster.jpg", "preview.mp4", "preview.webm") if b"dentist" in (tmp_path / one).read_bytes()
    ]
