"""ClickHouse's HTTP interface over the engine itself, for tests on machines without a server.

The engine is the real one, in this process (`chdb-core`); only the listening socket is ours. What is spoken is what
clients use: the query in the URL, in the body or in both, settings and `param_…` as parameters, `database`, credentials
in headers or parameters, `/ping`, compressed bodies by `Content-Encoding` or in ClickHouse's own frames
(`decompress=1`), the query and its parameters as a form (`multipart/form-data`), compressed answers by
`Accept-Encoding`, and errors with their code in `X-ClickHouse-Exception-Code`. Not spoken: sessions, roles, progress headers, and answers in ClickHouse's own frames.

    python clickhouse_server.py --data FOLDER [--port N] [--user NAME] [--password TEXT]

prints `listening on PORT` when it is ready, and ends when its standard input is closed, so that no test leaves one
behind. Everything that is acknowledged is in the folder: started there again, it goes on with it.
"""

import argparse
import base64
import email
import email.policy
import gzip
import json
import os
import re
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import chdb
import pyarrow

# Parameters that are not settings.
RESERVED = {
    "buffer_size", "client_protocol_version", "close_session", "compress", "database", "decompress", "default_format",
    "password", "query", "query_id", "quota_key", "role", "session_check", "session_id", "session_timeout",
    "stacktrace", "user", "wait_end_of_query",
}
# HTTP status by error code; everything else is 500.
STATUS = {
    36: 400, 43: 400, 46: 404, 47: 404, 53: 400, 60: 404, 62: 400, 81: 404, 115: 400, 117: 400, 164: 403, 192: 403,
    194: 403, 497: 403, 516: 403,
}
CONTENT_TYPES = {
    "JSON": "application/json", "JSONCompact": "application/json", "JSONEachRow": "application/x-ndjson",
    "CSV": "text/csv", "CSVWithNames": "text/csv", "TabSeparated": "text/tab-separated-values",
    "ArrowStream": "application/vnd.apache.arrow.stream",
}
INSERT_WITH_FORMAT = re.compile(r"^\s*INSERT\s.*?\bFORMAT\s+(\w+)\s*;?\s*", re.IGNORECASE | re.DOTALL)
TRAILING_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*(?:SETTINGS\b.*)?;?\s*$", re.IGNORECASE | re.DOTALL)
ERROR_CODE = re.compile(r"Code: (\d+)\. ")
CHUNK_BYTES = 1 << 20


class QueryError(Exception):
    """An error with the engine's code."""

    def __init__(self, code, message):
        super().__init__(f"Code: {code}. DB::Exception: {message}")


class Engine:
    """The folder and its connections: one for each request, since settings belong to a connection."""

    def __init__(self, data):
        self.data = data
        # The first connection keeps the engine alive between requests.
        self.keep = chdb.connect(data)
        self.version = str(self.keep.query("SELECT version()", "TabSeparatedRaw")).strip()

    def connect(self, parameters):
        connection = chdb.connect(self.data)
        database = parameters.get("database")
        if database:
            connection.query(f"USE {identifier(database)}")
        settings = {name: value for name, value in parameters.items() if is_setting(name)}
        # The one after which no other can be set comes last.
        for name in sorted(settings, key=lambda name: name == "readonly"):
            connection.query(f"SET {identifier(name)} = {literal(settings[name])}")
        return connection


def is_setting(name):
    return name not in RESERVED and not name.startswith("param_")


def identifier(name):
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def literal(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    # Written at once: a buffered answer is one packet.
    wbufsize = 1 << 16

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def log_message(self, *_):
        pass

    def answer(self):
        url = urlsplit(self.path)
        if url.path == "/ping":
            return self.reply(200, b"Ok.\n", {"Content-Type": "text/html; charset=UTF-8"})
        parameters = dict(parse_qsl(url.query, keep_blank_values=True))
        body = Body(self)
        try:
            self.authenticate(parameters)
            if self.command == "GET":
                parameters.setdefault("readonly", "2")
            result, result_format = self.run(parameters, body.decoded(parameters))
        except Exception as error:  # Whatever it is, the client is told in the protocol's way.
            body.drain()
            return self.reply_error(error)
        body.drain()
        headers = {"X-ClickHouse-Format": result_format, "X-ClickHouse-Timezone": "UTC"}
        headers["Content-Type"] = CONTENT_TYPES.get(result_format, "application/octet-stream")
        self.reply(200, *self.compressed(parameters, result, headers))

    def authenticate(self, parameters):
        user, password = self.headers.get("X-ClickHouse-User"), self.headers.get("X-ClickHouse-Key")
        basic = self.headers.get("Authorization", "")
        if basic.startswith("Basic "):
            user, _, password = base64.b64decode(basic[6:]).decode().partition(":")
        user = parameters.get("user", user) or "default"
        password = parameters.get("password", password) or ""
        if (user, password) != self.server.credentials:
            reason = f"{user}: Authentication failed: password is incorrect, or there is no user with such name."
            raise QueryError(516, f"{reason} (AUTHENTICATION_FAILED)")

    def run(self, parameters, chunks):
        if parameters.get("compress") == "1":
            raise QueryError(48, "this front has no compress=1: ask with enable_http_compression (NOT_IMPLEMENTED)")
        query = parameters.get("query", "")
        insert = INSERT_WITH_FORMAT.match(query)
        connection = self.server.engine.connect(parameters)
        try:
            if insert and insert.end() == len(query):
                statement = query[: insert.start(1)].rstrip()[: -len("FORMAT")]
                return run_insert(connection, statement, insert.group(1), chunks)
            rest = b"".join(chunks)
            form = self.headers.get("Content-Type", "")
            if form.startswith("multipart/form-data"):
                fields = form_fields(form, rest)
                rest = fields.pop("query", "").encode()
                parameters.update(fields)
            query = query + "\n" + rest.decode() if query else rest.decode()
            insert = INSERT_WITH_FORMAT.match(query)
            if insert:
                statement = query[: insert.start(1)].rstrip()[: -len("FORMAT")]
                return run_insert(connection, statement, insert.group(1), [query[insert.end() :].encode()])
            named = TRAILING_FORMAT.search(query)
            default = self.headers.get("X-ClickHouse-Format") or parameters.get("default_format", "TabSeparated")
            result_format = named.group(1) if named else default
            values = {name[len("param_") :]: value for name, value in parameters.items() if name.startswith("param_")}
            return connection.query(query, result_format, values or None).bytes() or b"", result_format
        finally:
            connection.close()

    def compressed(self, parameters, result, headers):
        """The answer as the client wants it."""
        refused = parameters.get("enable_http_compression") == "0"
        accepted = "" if refused else self.headers.get("Accept-Encoding", "")
        for name in ("lz4", "zstd", "gzip"):
            if name in accepted and result:
                packed = gzip.compress(result, 1) if name == "gzip" else pyarrow.compress(result, name, asbytes=True)
                return packed, headers | {"Content-Encoding": name}
        return result, headers

    def reply_error(self, error):
        text = str(error)
        for prefix in ("Streaming insert append failed: ", "Streaming insert finish failed: "):
            text = text.removeprefix(prefix)
        found = ERROR_CODE.search(text)
        code = int(found.group(1)) if found else 1002
        if not found:
            text = f"Code: {code}. DB::Exception: {type(error).__name__}: {text}"
        if "(version " not in text:
            text += f" (version {self.server.engine.version})"
        self.reply(STATUS.get(code, 500), text.encode() + b"\n", {"X-ClickHouse-Exception-Code": str(code)})

    def reply(self, status, content, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        summary = {"read_rows": "0", "written_rows": "0"}
        self.send_header("X-ClickHouse-Summary", json.dumps(summary))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()


def run_insert(connection, statement, input_format, chunks):
    """Feeds the engine while the body arrives."""
    with connection.send_insert(statement, input_format) as inserter:
        for chunk in chunks:
            if chunk:
                inserter.append(chunk)
        inserter.finish()
    return b"", "TabSeparated"


class Body:
    """A request's body, in pieces as they arrive."""

    def __init__(self, request):
        self.request = request
        self.pieces = self.read()

    def read(self):
        stream, headers = self.request.rfile, self.request.headers
        if headers.get("Expect", "").lower() == "100-continue":
            self.request.send_response_only(100)
            self.request.end_headers()
        if "chunked" in headers.get("Transfer-Encoding", "").lower():
            while size := int(stream.readline().split(b";")[0], 16):
                yield from self.exactly(size)
                stream.readline()
            while stream.readline().strip():
                pass
        else:
            yield from self.exactly(int(headers.get("Content-Length") or 0))

    def exactly(self, size):
        while size > 0:
            piece = self.request.rfile.read(min(size, CHUNK_BYTES))
            if not piece:
                raise ConnectionError("the client left in the middle of a body")
            size -= len(piece)
            yield piece

    def decoded(self, parameters):
        encoding = self.request.headers.get("Content-Encoding", "identity").lower()
        if parameters.get("decompress") == "1":
            return native_frames(self.pieces)
        if encoding in ("gzip", "deflate"):
            return inflated(self.pieces)
        if encoding in ("zstd", "lz4", "br"):
            name = {"br": "brotli"}.get(encoding, encoding)
            return [pyarrow.CompressedInputStream(pyarrow.BufferReader(b"".join(self.pieces)), name).read()]
        return self.pieces

    def drain(self):
        """Reads what nobody wanted, so that the connection can be used again."""
        try:
            for _ in self.pieces:
                pass
        except (ConnectionError, ValueError):
            self.request.close_connection = True


def form_fields(content_type, body):
    """The fields of a form, by name."""
    head = f"MIME-Version: 1.0\r\nContent-Type: {content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    parts = message.iter_parts()
    return {part.get_param("name", header="content-disposition"): part.get_content().rstrip("\r\n") for part in parts}


def inflated(pieces):
    inflate = zlib.decompressobj(wbits=47)
    for piece in pieces:
        yield inflate.decompress(piece)
    yield inflate.flush()


def native_frames(pieces):
    """ClickHouse's own frames: checksum (16 bytes, not looked at), method, compressed size, size, data."""
    data = memoryview(b"".join(pieces))
    while data:
        method, packed, size = data[16], int.from_bytes(data[17:21], "little"), int.from_bytes(data[21:25], "little")
        content = bytes(data[25 : 16 + packed])
        codec = {0x82: "lz4_raw", 0x90: "zstd"}.get(method)
        if method != 0x02 and codec is None:
            raise QueryError(89, f"compression method {method} (UNKNOWN_COMPRESSION_METHOD)")
        yield content if codec is None else pyarrow.Codec(codec).decompress(content, size, asbytes=True)
        data = data[16 + packed :]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--user", default="default")
    parser.add_argument("--password", default="")
    arguments = parser.parse_args()
    server = Server(("127.0.0.1", arguments.port), Handler)
    server.engine = Engine(arguments.data)
    server.credentials = (arguments.user, arguments.password)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"listening on {server.server_address[1]}", flush=True)
    sys.stdin.read()
    # Without the interpreter's farewell, which would wait for the engine's threads.
    os._exit(0)


if __name__ == "__main__":
    main()
