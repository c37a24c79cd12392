"""Events posted to a real server on this machine: taken, refused, slow, redirecting, gone; and what is secret stays so."""

import contextlib
import hashlib
import http.server
import json
import ssl
import subprocess
import threading

import fleets
import jsonschema
import pytest
from controller.__main__ import main
from controller.report import as_webhook, posting
from nights import Fleet, zombies

SECRET = "hunter2-in-the-path"
TOKEN = "s3cr3t-token"
EVENT = {
    "type": "object", "additionalProperties": False,
    "required": ["key", "status", "reason", "rule", "title", "what", "finding", "severity", "message", "host_count", "hosts", "changed", "first_at", "groups", "ticket"],
    "properties": {
        "key": {"type": "string", "pattern": "^[0-9a-f]{16}$"}, "status": {"enum": ["new", "still", "fixed"]}, "hosts": {"type": "array", "maxItems": 100, "items": {"type": "string"}},
        "host_count": {"type": "integer"}, "changed": {"type": "object", "additionalProperties": {"type": "object", "required": ["host_count", "hosts"]}},
        "first_at": {"type": ["number", "null"]}, "groups": {"type": "array"}, **{name: {"type": "string"} for name in ("reason", "rule", "title", "what", "finding", "severity", "message", "ticket")}},
}
SCHEMA = {"type": "object", "required": ["schema", "run", "since", "verdict", "expected", "audited", "events"], "properties": {
    "schema": {"const": "pidhygiene.events/1"}, "events": {"type": "array", "minItems": 1, "maxItems": 100, "items": EVENT}}}


class Receiver(http.server.ThreadingHTTPServer):
    """Answers with what ``answers`` says, one after the other, the last again and again: a status, or a function of the handler."""

    daemon_threads = True

    def __init__(self, context=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.requests = [200], []
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.scheme = "https" if context else "http"

    @property
    def url(self):
        return "%s://127.0.0.1:%d/hooks/%s?key=%s" % (self.scheme, self.server_address[1], SECRET, SECRET)

    @property
    def documents(self):
        return [json.loads(body) for _path, _headers, body in self.requests]

    def handle_error(self, request, client_address):
        """Clients that go away are part of these tests."""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, dict(self.headers), body))
        answer = self.server.answers[min(len(self.server.requests), len(self.server.answers)) - 1]
        if callable(answer):
            answer(self)
            return
        self.send_response(answer)
        self.end_headers()
        self.wfile.write(("you sent %s" % self.headers.get("Authorization")).encode())

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def serving(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def receiver():
    with serving(Receiver()) as server:
        yield server


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(posting, "PAUSES_S", (0.0, 0.0, 0.0))
    for name in ("PIDHYGIENE_WEBHOOK_TOKEN", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def two_nights(tmp_path_factory):
    """monit is fixed, backup is new, beremote is there as before, and one host says what means harm."""
    with pytest.MonkeyPatch.context() as patched:
        fleet = Fleet(tmp_path_factory.mktemp("nights"), patched)
        fleet.night({"a": [zombies("beremote"), zombies("monit")], "b": [], "evil": []})
        fleet.night({"a": [zombies("beremote")], "b": [zombies("backup", "warn")], "evil": fleets.hostile(1)["findings"]})
        yield fleet


@pytest.fixture
def send(two_nights, tmp_path, capsys):
    """The report with a webhook and a page: exit status, what was said on both channels."""

    def run(address, *more):
        status = main(["report", "--store", two_nights.url, "--format", "webhook:%s" % address, "--format", "text:%s" % (tmp_path / "r.txt"), *more])
        said = capsys.readouterr()
        assert (tmp_path / "r.txt").read_text().startswith("pidhygiene: "), "whatever becomes of the webhook, the others are written"
        assert SECRET not in said.out + said.err and TOKEN not in said.out + said.err
        return status, said.out + said.err
    return run


def test_what_changed_is_posted_once_with_keys_that_stay(receiver, send):
    status, said = send(receiver.url)
    assert status == 0 and "webhook: 1 request taken" in said
    (document,) = receiver.documents
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    events = {(each["rule"], each["what"]): each for each in document["events"]}
    assert (events["PH-ZMB-001", "backup"]["status"], events["PH-ZMB-001", "backup"]["reason"], events["PH-ZMB-001", "backup"]["hosts"]) == ("new", "new", ["b"])
    assert (events["PH-ZMB-001", "monit"]["status"], events["PH-ZMB-001", "monit"]["changed"]["fixed"]["hosts"]) == ("fixed", ["a"])
    assert ("PH-ZMB-001", "beremote") not in events, "what is only still there is not sent"
    send(receiver.url, "--events", "all")
    everything = {(each["rule"], each["what"]): each for each in receiver.documents[1]["events"]}
    assert everything["PH-ZMB-001", "beremote"]["status"] == "still" and everything["PH-ZMB-001", "backup"]["key"] == events["PH-ZMB-001", "backup"]["key"]
    path, headers, body = receiver.requests[0]
    assert path.endswith("?key=" + SECRET) and headers["Content-Type"] == "application/json" and headers["User-Agent"].startswith("pidhygiene/")
    assert headers["Idempotency-Key"] == hashlib.sha256(body).hexdigest()[:32]


def test_hostile_text_arrives_as_text(receiver, send):
    send(receiver.url, "--events", "all")
    (_path, _headers, body), = receiver.requests
    assert body.isascii() and b"<" not in body and b"\x1b" not in body
    assert any(fleets.HOSTILE in each["message"] for each in receiver.documents[0]["events"])


@pytest.mark.parametrize("answers", [[500, 503, 429, 200], [lambda handler: handler.connection.close(), 204]])
def test_what_may_go_better_is_tried_again(receiver, send, answers):
    receiver.answers = answers
    assert send(receiver.url)[0] == 0 and len(receiver.requests) == len(answers)
    assert len({body for _path, _headers, body in receiver.requests}) == 1


@pytest.mark.parametrize("answer, tries, said", [
    (500, 4, "it answers with 500 Internal Server Error, after 4 tries"), (401, 1, "it answers with 401 Unauthorized"), (404, 1, "404"),
    (lambda handler: handler.connection.close(), 4, "it closed the connection without an answer, after 4 tries"),
    (lambda handler: handler.wfile.write(b"\x16\x03\x01 what is this\r\n\r\n"), 4, "it does not speak HTTP (BadStatusLine), after 4 tries"),
])
def test_what_is_not_taken_is_loud(receiver, send, monkeypatch, answer, tries, said):
    monkeypatch.setenv("PIDHYGIENE_WEBHOOK_TOKEN", TOKEN)
    receiver.answers = [answer]
    status, told = send(receiver.url)
    assert status == 1 and said in told and len(receiver.requests) == tries and "0 of 1 requests were taken" in told
    assert receiver.requests[0][1]["Authorization"] == "Bearer " + TOKEN


@pytest.mark.parametrize("drip", [b"", b"HTTP/1.1 200 OK\r\nX: "])
def test_one_that_never_ends_is_given_up(receiver, send, monkeypatch, drip):
    """It says nothing; or a byte now and then, so that no single read takes long."""
    over = threading.Event()

    def slow(handler):
        with contextlib.suppress(OSError):
            handler.wfile.write(drip)
            while not over.wait(0.02):
                if drip:
                    handler.wfile.write(b"x")

    monkeypatch.setattr(posting, "TRY_S", 0.4)
    monkeypatch.setattr(posting, "STEP_S", 60.0)
    monkeypatch.setattr(posting, "PAUSES_S", (0.0,))
    receiver.answers = [slow]
    try:
        status, said = send(receiver.url)
    finally:
        over.set()
    assert status == 1 and "no answer within" in said and len(receiver.requests) == 2


def test_no_redirect_is_followed(receiver, send):
    with serving(Receiver()) as other:
        def redirect(handler):
            handler.send_response(307)
            handler.send_header("Location", other.url)
            handler.end_headers()
        receiver.answers = [redirect]
        status, said = send(receiver.url)
        assert status == 1 and "it answers with 307 and sends to 127.0.0.1:%d, where nothing is sent to" % other.server_address[1] in said
        assert len(receiver.requests) == 1 and other.requests == []


def test_nobody_listens(send):
    with serving(Receiver()) as server:
        url = server.url
    status, said = send(url)
    assert status == 1 and "Connection refused, after 4 tries" in said


def test_address_and_headers_from_a_file(receiver, send, tmp_path):
    hook = tmp_path / "hook"
    hook.write_text("# of the on-call tool\n%s\n\nAuthorization: Token %s\nX-Team: ops\n" % (receiver.url, TOKEN))
    hook.chmod(0o644)
    status, said = send("@%s" % hook)
    assert status == 1 and "others can read or write" in said and receiver.requests == []
    hook.chmod(0o600)
    assert send("@%s" % hook)[0] == 0
    headers = receiver.requests[0][1]
    assert (headers["Authorization"], headers["X-Team"]) == ("Token " + TOKEN, "ops")
    for wrong in ("%s\nno header here\n" % receiver.url, "%s\nX: a\x00b\n" % receiver.url, "\n", "%s\nBad Name: x\n" % receiver.url):
        hook.write_text(wrong)
        assert send("@%s" % hook)[0] == 1 and len(receiver.requests) == 1
    assert "cannot be read" in send("@%s" % (tmp_path / "none"))[1]


@pytest.mark.parametrize("address, said", [
    ("http://hooks.example.org/%s" % SECRET, "in the clear to hooks.example.org"), ("https://user:%s@example.org/" % SECRET, "leave user and password out"),
    ("ftp://example.org/%s" % SECRET, "none of https://"), ("https://[::1/%s" % SECRET, "cannot be read"), ("https:///%s" % SECRET, "none of https://")])
def test_addresses_that_are_not_used(send, address, said):
    status, told = send(address)
    assert status == 1 and said in told


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    place = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=receiver",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", place / "key", "-out", place / "cert"], check=True, capture_output=True)
    return place


def test_a_certificate_is_verified(certificate, send, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert", certificate / "key")
    with serving(Receiver(context)) as server:
        status, said = send(server.url)
        assert status == 1 and "its certificate is not trusted: self-signed certificate" in said and server.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert"))
        assert send(server.url)[0] == 0 and len(server.requests) == 1
        assert send(server.url.replace("127.0.0.1", "localhost"))[0] == 1, "another name than its certificate's"


def test_a_proxy_is_asked_for_a_tunnel_and_never_shown_the_events(certificate, send, monkeypatch):
    asked = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self):
            asked.append((self.path, self.headers.get("Proxy-Authorization"), self.headers.get("Authorization")))
            self.send_error(403)

        def log_message(self, *arguments):
            pass
    monkeypatch.setenv("PIDHYGIENE_WEBHOOK_TOKEN", TOKEN)
    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)) as proxy:
        monkeypatch.setenv("https_proxy", "http://me:pw@127.0.0.1:%d" % proxy.server_address[1])
        status, said = send("https://hooks.example.org/%s" % SECRET)
    assert status == 1 and asked[0] == ("hooks.example.org:443", "Basic bWU6cHc=", None) and len(asked) == 4


def test_many_events_are_several_requests(monkeypatch, receiver, send):
    monkeypatch.setattr(as_webhook, "MOST_EVENTS", 5)
    receiver.answers = [200, 400]
    status, said = send(receiver.url, "--events", "all")
    assert status == 1 and "1 of " in said and "were taken" in said and len(receiver.requests) == 2
    receiver.answers = [200]
    receiver.requests.clear()
    assert send(receiver.url, "--events", "all")[0] == 0
    keys = [each["key"] for document in receiver.documents for each in document["events"]]
    assert len(keys) == len(set(keys)) > 10 and all(len(document["events"]) <= 5 for document in receiver.documents)


def test_a_webhook_needs_an_address(capsys):
    with pytest.raises(SystemExit):
        main(["report", "--format", "webhook"])
    assert "where to?" in capsys.readouterr().err
