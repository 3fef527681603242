"""Stands before an S3 server that does not check signatures (s3rver), and checks them.

    python3 signed_front.py --listen PORT --upstream PORT --key ID --secret SECRET

A request whose AWS Signature Version 4, or whose x-amz-content-sha256, is not right is answered with
403 SignatureDoesNotMatch; any other goes to the server on 127.0.0.1. Written from AWS' description of
the signature, so that it knows nothing of how curl makes one.

Requests for one object go one after the other: s3rver writes an object in place, where S3 replaces it at
once.
"""

import argparse
import collections
import hashlib
import hmac
import http.client
import http.server
import threading

_DENIED = b"<Error><Code>SignatureDoesNotMatch</Code></Error>"
_LOCKS = collections.defaultdict(threading.Lock)
_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "expect")


def _canonical_query(query):
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    return "&".join(f"{name}={value}" for name, _, value in sorted(pairs))


def _signature(method, target, headers, fields, secret):
    path, _, query = target.partition("?")
    scope = fields["Credential"].split("/")[1:]
    lines = [f"{name}:{' '.join((headers[name] or '').split())}\n"
             for name in fields["SignedHeaders"].split(";")]
    request = "\n".join([method, path, _canonical_query(query), "".join(lines),
                         fields["SignedHeaders"], headers["x-amz-content-sha256"]])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], "/".join(scope),
                         hashlib.sha256(request.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in scope:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    options = None

    def log_message(self, format, *args):
        pass

    def _is_signed(self, body):
        scheme, _, rest = (self.headers["Authorization"] or "").partition(" ")
        fields = dict(field.strip().partition("=")[::2] for field in rest.split(","))
        if scheme != "AWS4-HMAC-SHA256" or "host" not in fields["SignedHeaders"].split(";"):
            return False
        if not fields["Credential"].startswith(self.options.key + "/"):
            return False
        if hashlib.sha256(body).hexdigest() != self.headers["x-amz-content-sha256"]:
            return False
        right = _signature(self.command, self.path, self.headers, fields, self.options.secret)
        return hmac.compare_digest(right, fields["Signature"])

    def _pass_on(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if not self._is_signed(body):
            self._answer(403, [], _DENIED)
            return
        upstream = http.client.HTTPConnection("127.0.0.1", self.options.upstream, timeout=60)
        headers = {name: value for name, value in self.headers.items()
                   if name.lower() not in _HOP_BY_HOP}
        with _LOCKS[self.path.partition("?")[0]]:
            upstream.request(self.command, self.path, body or None, headers)
            reply = upstream.getresponse()
            data = reply.read()
        self._answer(reply.status, reply.getheaders(), data)
        upstream.close()

    def _answer(self, status, headers, body):
        self.send_response_only(status)
        length = str(len(body))
        for name, value in headers:
            if name.lower() == "content-length" and self.command == "HEAD":
                length = value
            elif name.lower() not in _HOP_BY_HOP + ("content-length",):
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = _pass_on


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--upstream", type=int, required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--secret", required=True)
    _Handler.options = parser.parse_args()
    _Server(("127.0.0.1", _Handler.options.listen), _Handler).serve_forever()


if __name__ == "__main__":
    main()
