"""A registry that passes requests on to an honest one and lies about one blob.

    python3 -m lab.lying_registry --listen ADDRESS:PORT --upstream URL --digest DIGEST --lie LIE

LIE is "wrong" (the right length, other bytes), "short" (the connection ends half-way) or "long"
(more bytes than the blob has, and a Content-Length to match).
"""

import argparse
import http.server
import shutil
import sys
import urllib.error
import urllib.request

LIES = ("wrong", "short", "long")
_EXTRA = 64 * 1024
_FORWARDED = ("Accept", "Range", "Authorization")
_RETURNED = ("Content-Type", "Docker-Content-Digest", "Content-Range", "Accept-Ranges")


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    options = None

    def do_GET(self):
        self._forward()

    def do_HEAD(self):
        self._forward()

    def log_message(self, format, *args):
        # One write, so that lines of several threads stay whole.
        sys.stdout.write(f"{self.address_string()} {format % args}\n")
        sys.stdout.flush()

    def _forward(self):
        headers = {name: self.headers[name] for name in _FORWARDED if self.headers[name]}
        lies = f"/blobs/{self.options.digest}" in self.path
        if lies:
            # A lie about a part would take more than this: whoever asks for one gets all.
            headers.pop("Range", None)
        request = urllib.request.Request(self.options.upstream + self.path, method=self.command,
                                         headers=headers)
        try:
            reply = urllib.request.urlopen(request, timeout=30)
        except urllib.error.HTTPError as error:
            reply = error
        with reply:
            length = int(reply.headers.get("Content-Length") or 0)
            told = length + _EXTRA if lies and self.options.lie == "long" else length
            self.send_response(reply.status)
            for name in _RETURNED:
                if reply.headers[name]:
                    self.send_header(name, reply.headers[name])
            self.send_header("Content-Length", str(told))
            self.end_headers()
            if self.command == "HEAD":
                return
            if lies:
                self._lie(reply.read())
            else:
                shutil.copyfileobj(reply, self.wfile)

    def _lie(self, data):
        if self.options.lie == "wrong":
            self.wfile.write(data[:-1] + bytes([data[-1] ^ 1]))
        elif self.options.lie == "long":
            self.wfile.write(data + bytes(_EXTRA))
        else:
            self.wfile.write(data[:len(data) // 2])
            self.wfile.flush()
            self.close_connection = True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--digest", required=True)
    parser.add_argument("--lie", choices=LIES, required=True)
    _Handler.options = parser.parse_args()
    address, _, port = _Handler.options.listen.rpartition(":")
    http.server.ThreadingHTTPServer((address, int(port)), _Handler).serve_forever()


if __name__ == "__main__":
    main()
