"""Malicious files and texts of an untrusted client, generated quickly and as small as possible."""

import io
import json
import struct
import zipfile
import zlib

from PIL import Image

MIB = 1024 * 1024


def png(width: int, height: int, *, rows: bytes = b"", extra: bytes = b"") -> bytes:
    """Return a PNG whose header declares this size; its rows are zero, which compresses well, unless given."""
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + extra + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def wide_png(side: int) -> bytes:
    """Return a complete square PNG with 1 bit per pixel: about 100 KiB that decode to over a gigabyte."""
    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    packed = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return png(side, side, rows=packed)


def text_bomb(unpacked_mib: int) -> bytes:
    """Return a PNG of one pixel with a compressed comment of this many MiB."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(MIB)) for _ in range(unpacked_mib)) + packer.flush()
    return png(1, 1, rows=zlib.compress(b"\0\0"), extra=_chunk(b"zTXt", b"Comment\0\0" + packed))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def jpeg(width: int = 64, height: int = 48, **options: object) -> bytes:
    """Return a valid JPEG."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), (200, 120, 40)).save(file, "JPEG", **options)
    return file.getvalue()


def lying_jpeg() -> bytes:
    """Return a small JPEG whose header declares 65,000 x 65,000 pixels."""
    body = bytearray(jpeg())
    at = body.index(b"\xff\xc0")
    body[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
    return bytes(body)


def located_jpeg() -> bytes:
    """Return a photo with a GPS location and a description that is markup."""
    exif = Image.Exif()
    exif[0x010E] = "<script>alert(1)</script>"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    return jpeg(exif=exif)


def gif(frames: int) -> bytes:
    """Return an animation of this many frames of one pixel."""
    frame = (
        b"\x21\xf9\x04\x00\x00\x00\x00\x00" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    )
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff" + frame * frames + b"\x3b"


def svg(inside: str = "", *, head: str = "", side: int = 100) -> bytes:
    """Return an SVG with the attacker's entities and elements."""
    root = f'<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side}">'
    return f'<?xml version="1.0"?>{head}{root}{inside}</svg>'.encode()


def laughs() -> bytes:
    """Return entities that expand to a billion ("billion laughs")."""
    doubled = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    return svg("&l9;", head=f'<!DOCTYPE svg [<!ENTITY l0 "lol">{doubled}]>')


def zip_bomb(name: str = "xl/worksheets/sheet1.xml") -> bytes:
    """Return an archive of 200 KiB that unpacks to 200 MiB, with a path traversal."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../../../etc/cron.d/evil", b"* * * * * root id")
        archive.writestr(name, bytes(200 * MIB))
    return file.getvalue()


def mp4(box: bytes = b"moov", size: int = 0xFFFFFFFF) -> bytes:
    """Return a video whose second box claims to be endless."""
    return struct.pack(">I", 24) + b"ftypisom\0\0\2\0isomiso2" + struct.pack(">I", size) + box + bytes(64)


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile /etc/passwd\n"


def pdf(objects: list[bytes], *, trailer: bytes = b"") -> bytes:
    """Return a PDF of these objects; the first one is its catalogue."""
    body, places = b"%PDF-1.7\n", []
    for number, one in enumerate(objects, start=1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    end = b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, trailer, len(body))
    return body + head + table + end


def pdf_bomb() -> bytes:
    """Return a PDF page whose content is compressed twice: 256 MiB in some hundred bytes."""
    content = zlib.compress(zlib.compress(b"0 0 1 1 re f\n" * (20 * MIB), 9), 9)
    stream = b"<< /Length %d /Filter [/FlateDecode /FlateDecode] >>\nstream\n%s\nendstream" % (len(content), content)
    return pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            _page(b"/Contents 4 0 R"),
            stream,
        ]
    )


def huge_pdf() -> bytes:
    """Return a PDF with one gigantic page."""
    box = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99999999 99999999] >>"
    return pdf([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", box])


def curious_pdf() -> bytes:
    """Return a PDF that tries to run a program, read a file and connect to a server when it is opened."""
    action = b"<< /S /Launch /F (/bin/sh) /Next << /S /URI /URI (http://127.0.0.1:9/) >> >>"
    catalogue = b"<< /Type /Catalog /Pages 2 0 R /OpenAction %s >>" % action
    return pdf([catalogue, b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", _page(b"")])


def locked_pdf() -> bytes:
    """Return a PDF that is encrypted with an unknown password."""
    trailer = b"/Encrypt << /Filter /Standard /V 2 /R 3 /Length 128 /P -4 /O <%s> /U <%s> >> /ID [<00><00>]"
    whole = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", _page(b"")]
    return pdf(whole, trailer=trailer % (b"41" * 32, b"42" * 32))


def _page(more: bytes) -> bytes:
    return b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] %s >>" % more


# File types whose libvips loaders are not safe for untrusted input, and other types disguised as pictures.
STRANGE = {
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
    "MVG": b"push graphic-context\nviewbox 0 0 9 9\nimage over 0,0 0,0 'https://127.0.0.1:9/x'\npop graphic-context\n",
    "XCF": b"gimp xcf v011\0" + struct.pack(">III", 60_000, 60_000, 0) + bytes(64),
    "PSD": b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 30_000, 30_000, 8, 3) + bytes(64),
    "FITS": (b"SIMPLE  =                    T".ljust(80) + b"NAXIS   = 2".ljust(80) + b"END".ljust(80)).ljust(2880),
    "MATLAB": b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + bytes(128),
    "NIfTI": struct.pack("<i", 348) + bytes(340) + b"n+1\0" + bytes(64),
    "HDR": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 60000 +X 60000\n" + bytes(64),
    "PPM": b"P6 60000 60000 255\n" + bytes(64),
}


def deep_json(depth: int) -> bytes:
    return b'{"name":' + b"[" * depth + b"]" * depth + b"}"


def marker(inner: object = None) -> dict[str, object]:
    """Return a forged reference marker."""
    return {
        "__type__": "resultstore.artifact/1",
        "__value__": inner or {"id": "x", "key": "blobs/keep/00/x/" + "0" * 32},
    }


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()
