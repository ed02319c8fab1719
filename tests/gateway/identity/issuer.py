"""A JWT issuer that serves its keys over HTTP."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

SOON_S = 30.0


class Issuer(HTTPServer):
    """Serves the keys and counts the requests."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_port}/keys"
        self.keys, self.says, self.asked = [], b"{}", 0
        self.holds, self.free = False, threading.Event()

    def was_asked(self, times):
        """Wait for this number of requests; return False on a timeout."""
        end = time.monotonic() + SOON_S
        while self.asked < times and time.monotonic() < end:
            time.sleep(0.01)
        return self.asked >= times

    def publish(self, **keys):
        self.keys = [public_jwk(kid, key) for kid, key in keys.items()]
        self.says = json.dumps({"keys": self.keys}).encode()


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked += 1
        self.send_response(200)
        self.end_headers()
        while self.server.holds and not self.server.free.wait(0.02):
            self.wfile.write(b" ")  # an endless drip of quick reads
        self.wfile.write(self.server.says)

    def log_message(self, *_):
        pass


def public_jwk(kid, key):
    kind = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.OKPAlgorithm
    return json.loads(kind.to_jwk(key.public_key())) | {"kid": kid, "use": "sig"}
