"""Pages with viewers for the tests beside this file: drawn pictures and maps, the portal's content policy."""

from __future__ import annotations

import io
import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.test import override_settings
from django.urls import path
from PIL import Image

from xrayportal.analyses.models import Finding
from xrayportal.security import POLICY

ROOT = Path(__file__).resolve().parents[3]
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2"}

#: The picture of most tests: its marker and the only hot cell of its map have the same middle.
WIDTH, HEIGHT = 640, 480
GRID_WIDTH, GRID_HEIGHT = 16, 12
HOT_COLUMN, HOT_ROW = 11, 3
MARKER = ((HOT_COLUMN + 0.5) * WIDTH / GRID_WIDTH, (HOT_ROW + 0.5) * HEIGHT / GRID_HEIGHT)


def _nothing(request: HttpRequest, **kwargs: object) -> HttpResponse:
    raise AssertionError("only the address is used")


urlpatterns = [path("files/<slug:clinic>/<uuid:finding>/<str:kind>", _nothing, name="finding-file")]


# --- pages and pictures made in code ----------------------------------------------------------


def radiograph(width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """Mid grey with a darker left edge, and a white square of 20 pixels around the marker."""
    pixels = np.full((height, width), 90, np.uint8)
    pixels[:, : width // 8] = 30
    x, y = int(MARKER[0]), int(MARKER[1])
    pixels[y - 10 : y + 10, x - 10 : x + 10] = 255
    return encode(Image.fromarray(pixels))


def encode(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def overlay(width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """The overlay that the page shows without JavaScript: the hot cell in red."""
    pixels = np.zeros((height, width, 4), np.uint8)
    cell = WIDTH // GRID_WIDTH
    pixels[HOT_ROW * cell : (HOT_ROW + 1) * cell, HOT_COLUMN * cell : (HOT_COLUMN + 1) * cell] = (
        255,
        0,
        0,
        200,
    )
    return encode(Image.fromarray(pixels))


def evidence_map() -> bytes:
    """One hot cell at twice the scale, negative evidence elsewhere, a weak cell far away."""
    values = np.full((GRID_HEIGHT, GRID_WIDTH), -1.0)
    values[HOT_ROW, HOT_COLUMN] = 4.0
    values[10, 2] = 0.8
    answer = {"height": GRID_HEIGHT, "width": GRID_WIDTH, "scale": 2.0, "values": values.ravel().tolist()}
    return json.dumps(answer).encode()


#: A radiograph of 12 bits whose window as sent leaves both ends of it at black and at white.
DEEP = np.tile(np.linspace(0, 4095, WIDTH).astype(np.uint16), (HEIGHT, 1))
WINDOW: dict[str, Any] = {"highest": 4095, "level": 2047.5, "width": 1024.0, "first": -1024.0, "step": 1.0}
WINDOW |= {"is_masked": False, "curve": None}


def deep_file(codes: np.ndarray) -> bytes:
    written, file = cv2.imencode(".png", codes)
    assert written
    return file.tobytes()


class Site:
    """A small server on loopback with pages and static files, all under the portal's content policy."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[str, bytes]] = {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                kind, body = site.find(self.path.partition("?")[0])
                self.send_response(200 if kind else 404)
                self.send_header("Content-Type", kind or "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Security-Policy", POLICY)
                if self.path.startswith("/static/"):
                    self.send_header("Cache-Control", "max-age=3600")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Log nothing: the tests look at the browser's console instead."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def find(self, address: str) -> tuple[str, bytes]:
        if address in self.answers:
            return self.answers[address]
        file = (ROOT / address.lstrip("/")).resolve()
        if address.startswith("/static/") and file.is_relative_to(ROOT / "static") and file.is_file():
            return TYPES.get(file.suffix, "text/plain"), file.read_bytes()
        return "", b""

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def finding(self, **values: Any) -> Finding:
        """A finding whose files are served; ``spacing=None`` and so on override."""
        usual: dict[str, Any] = {
            "width": WIDTH, "height": HEIGHT, "verdict": "abnormal", "probability": 0.9, "trust": 0.82,
            "peak_x": int(MARKER[0]), "peak_y": int(MARKER[1]), "spacing": [0.2, 0.1],
            "display_file": "d", "thumbnail_file": "t", "overlay_file": "o", "map_file": "m",
        }  # fmt: skip
        finding = Finding(**{**usual, **values})
        files = f"/files/east/{finding.id}"
        self.answers[f"{files}/display"] = ("image/png", radiograph())
        if finding.depth_file:
            self.answers[f"{files}/depth"] = ("image/png", deep_file(DEEP))
        if finding.map_file:
            self.answers[f"{files}/overlay"] = ("image/png", overlay())
            self.answers[f"{files}/map"] = ("application/json", evidence_map())
        return finding

    def page(self, *viewers: str, head: str = "") -> str:
        """The address of a page that holds these viewers and a few other things of a study page."""
        address = f"/{uuid.uuid4()}"
        head = render_to_string("study/viewer/_head.html") + head
        body = "".join(viewers)
        html = f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Study</title>
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <link rel="icon" href="data:,">
            <link rel="stylesheet" href="/static/shared/tokens.css">
            <link rel="stylesheet" href="/static/shared/base.css">
            {head}</head><body><main>{body}<label>Comment <input id="comment"></label>
            <p id="below">Below</p></main></body></html>"""
        self.answers[address] = ("text/html; charset=utf-8", html.encode())
        return self.address + address


def viewer(finding: Finding, **context: Any) -> str:
    """The markup of a viewer, with the addresses of this site."""
    with override_settings(ROOT_URLCONF=__name__):
        return render_to_string(
            "study/viewer/_viewer.html",
            {"finding": finding, "clinic": SimpleNamespace(slug="east"), **context},
        )
