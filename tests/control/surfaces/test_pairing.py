# SPDX-License-Identifier: GPL-3.0-or-later
"""Codes, limits, tokens and the file of paired devices; the pages and the command line, driven from this machine."""

from __future__ import annotations

import asyncio
import json
import re
import stat
import string
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.bus.hub import HubServer
from appliance.control.access.access import Access
from appliance.control.access.hosts import canonical, is_loopback, local_form
from appliance.control.access.limits import MOST_HOSTS, Limit, Rate, TooMany
from appliance.control.access.osc import REST_S, OscAccess
from appliance.control.access.pairing import MOST_WAITING, Pairing, Request, clean_name
from appliance.control.access.store import Store, digest_of
from appliance.control.access.visitor import allowed
from appliance.control.desk import Desk
from appliance.control.http.server import HttpServer
from appliance.control.mapping.check import load_profile
from appliance.control.midi.hand import Hand
from appliance.control.midi.router import Router
from appliance.errors import ApplianceError, BadValue
from appliance.namespace import Kind, Scope
from appliance.nodes import NAMESPACE

SETTINGS = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
STRANGER = "192.0.2.7"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def pairing(clock: Clock, *, held: bool = False, tries: int = 5) -> Pairing:
    return Pairing(held=held, code_s=120.0, tries=tries, clock=clock)


def refusal(work: Any, *args: Any) -> ApplianceError:
    with pytest.raises(ApplianceError) as caught:
        work(*args)
    return caught.value


def wrong_for(request: Request) -> str:
    return f"{(int(request.code) + 1) % 1_000_000:06d}"


# -- declarations


def test_every_change_of_access_takes_an_administrator_and_codes_are_private() -> None:
    group = [a for a in NAMESPACE if a.address.startswith("/access/")]
    assert all(a.node.scope is Scope.ADMIN for a in group if a.node.kind is not Kind.STATE)
    assert {a.address for a in NAMESPACE if a.node.private} == {"/access/requests", "/access/code", "/access/message"}
    for scope, address, expected in ((Scope.PLAY, "/deck/1/play", True), (Scope.PLAY, "/session/load", False),
                                     (Scope.EDIT, "/session/load", True), (Scope.EDIT, "/access/revoke", False),
                                     (Scope.ADMIN, "/access/revoke", True)):
        assert allowed(NAMESPACE.find(address).node, scope, writing=True) is expected, (scope, address)
    for scope in Scope:
        assert not allowed(NAMESPACE.find("/access/code").node, scope, writing=False)


@given(st.sampled_from(list(NAMESPACE)), st.booleans())
def test_a_wider_scope_may_all_that_a_narrower_one_may(address: Any, writing: bool) -> None:
    may = [allowed(address.node, scope, writing=writing) for scope in (None, *Scope)]
    assert may == sorted(may)
    assert not may[0]


# -- codes


def test_a_code_lets_in_once_and_only_its_own_host() -> None:
    clock = Clock()
    waiting = pairing(clock)
    asked = waiting.ask(STRANGER, "tablet", Scope.PLAY)
    assert re.fullmatch(r"\d{6}", asked.code)
    assert refusal(waiting.find, asked.id, "192.0.2.8").status == 410
    assert refusal(waiting.find, "x", STRANGER).status == 410
    waiting.type(waiting.find(asked.id, STRANGER), f" {asked.code[:3]} {asked.code[3:]} ")
    assert waiting.ready(asked)
    waiting.drop(asked)
    assert refusal(waiting.find, asked.id, STRANGER).status == 410


def test_a_code_runs_out() -> None:
    clock = Clock()
    waiting = pairing(clock)
    asked = waiting.ask(STRANGER, "tablet", Scope.PLAY)
    clock.now += 119.9
    assert waiting.find(asked.id, STRANGER) is asked
    clock.now += 0.2
    assert refusal(waiting.find, asked.id, STRANGER).status == 410
    assert waiting.waiting() == []


def test_a_few_tries_and_then_a_new_code() -> None:
    waiting = pairing(Clock(), tries=3)
    asked = waiting.ask(STRANGER, "tablet", Scope.PLAY)
    wrong = wrong_for(asked)
    assert [refusal(waiting.type, asked, wrong).status for _ in range(3)] == [403, 403, 410]
    assert refusal(waiting.find, asked.id, STRANGER).status == 410, "the right code comes too late"


@SETTINGS
@given(st.one_of(st.none(), st.integers(), st.text(max_size=80), st.binary(max_size=8), st.lists(st.integers())))
def test_what_is_not_the_code_is_refused_and_nothing_else_happens(typed: object) -> None:
    waiting = pairing(Clock())
    asked = waiting.ask(STRANGER, "tablet", Scope.PLAY)
    if "".join(c for c in str(typed) if c not in " -") == asked.code:
        return
    assert refusal(waiting.type, asked, typed).status == 403
    assert not waiting.ready(asked)


def test_who_asks_again_and_again_waits_and_so_does_who_guesses() -> None:
    clock = Clock()
    waiting = pairing(clock)
    for _ in range(5):
        waiting.ask(STRANGER, "tablet", Scope.PLAY)
    assert len(waiting.waiting()) == 1, "an older code of the same host is void"
    late = refusal(waiting.ask, STRANGER, "tablet", Scope.PLAY)
    assert isinstance(late, TooMany) and 1 <= late.retry_s <= 20
    waiting.ask("192.0.2.8", "phone", Scope.PLAY)  # the limit is each host's own
    clock.now += 20
    asked = waiting.ask(STRANGER, "tablet", Scope.PLAY)
    guesses = 0
    for guesses in range(100):
        error = refusal(waiting.type, asked, wrong_for(asked))
        if isinstance(error, TooMany):
            break
        if guesses % 4 == 3:
            clock.now += 20
            asked = waiting.ask(STRANGER, "tablet", Scope.PLAY)
    assert 10 <= guesses <= 12
    assert isinstance(refusal(waiting.type, asked, asked.code), TooMany), "not even the right one, until it has waited"
    clock.now += 60
    waiting.type(asked, asked.code)
    assert waiting.ready(asked)


def test_guesses_from_many_hosts_count_together() -> None:
    clock = Clock()
    waiting = pairing(clock, tries=20)
    guesses = 0
    for host in range(100):
        try:
            asked = waiting.ask(f"192.0.2.{host}", "tablet", Scope.PLAY)
            while True:
                error = refusal(waiting.type, asked, wrong_for(asked))
                if isinstance(error, TooMany):
                    break
                guesses += 1
        except ApplianceError:
            pass
        clock.now += 10
        for request in waiting.waiting():
            waiting.drop(request)
    assert guesses <= 30 + 1000 / 30 + 1


def test_few_wait_at_once() -> None:
    clock = Clock()
    waiting = pairing(clock)
    for host in range(MOST_WAITING):
        waiting.ask(f"192.0.2.{host}", "tablet", Scope.PLAY)
    assert refusal(waiting.ask, "192.0.2.99", "tablet", Scope.PLAY).status == 503
    clock.now += 121
    waiting.ask("192.0.2.99", "tablet", Scope.PLAY)


def test_a_held_control_lets_in_the_one_that_has_typed_before() -> None:
    clock = Clock()
    waiting = pairing(clock, held=True)
    first = waiting.ask("192.0.2.1", "first", Scope.PLAY)
    second = waiting.ask("192.0.2.2", "second", Scope.PLAY)
    assert waiting.hold(clock.now) is None
    waiting.type(second, second.code)
    assert not waiting.ready(second)
    assert waiting.hold(clock.now - 1) is None, "held before the code was typed"
    clock.now += 1
    waiting.type(first, first.code)
    assert waiting.hold(clock.now) is second, "one hold, one device: the one that waits longest"
    assert waiting.ready(second) and not waiting.ready(first)
    assert waiting.hold(clock.now) is first


@SETTINGS
@given(st.one_of(st.none(), st.integers(), st.text(max_size=200), st.just("\x1b[2J\x07evil\u202e\nname")))
def test_a_name_is_one_plain_line(name: object) -> None:
    try:
        cleaned = clean_name(name)
    except BadValue:
        return
    assert 1 <= len(cleaned) <= 40
    assert cleaned == " ".join(cleaned.split())
    assert cleaned.isprintable()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 30)), max_size=80))
def test_no_sequence_gets_more_than_the_limit(steps: list[tuple[str, float]]) -> None:
    clock = Clock()
    limit = Limit(Rate(3, 10.0), Rate(5, 5.0), clock)
    begun, given_to = clock.now, dict.fromkeys("abc", 0)
    for host, wait_s in steps:
        clock.now += wait_s
        try:
            limit.require(host, "too many")
        except TooMany:
            continue
        given_to[host] += 1
    passed = clock.now - begun
    assert all(count <= 3 + passed / 10.0 + 1e-6 for count in given_to.values())
    assert sum(given_to.values()) <= 5 + passed / 5.0 + 1e-6


def test_limits_forget_hosts_but_not_what_all_have_done() -> None:
    limit = Limit(Rate(1, 1.0), Rate(MOST_HOSTS + 10, 1e9), Clock())
    for host in range(MOST_HOSTS + 10):
        limit.require(str(host), "too many")
    assert limit.wait_s("new") > 0


# -- addresses


@pytest.mark.parametrize(("host", "loopback", "plain"), [
    ("127.0.0.1", True, "127.0.0.1"), ("127.8.8.8", True, "127.8.8.8"), ("::1", True, "::1"), ("[::1]", True, "::1"),
    ("::ffff:127.0.0.1", True, "127.0.0.1"), ("::ffff:192.0.2.7", False, "192.0.2.7"), ("localhost.", True, "localhost"),
    ("LOCALHOST", True, "localhost"), ("192.0.2.7", False, "192.0.2.7"), ("", False, ""),
    ("localhost.evil.example", False, "localhost.evil.example"), ("fe80::1%eth0", False, "fe80::1%eth0"),
    ("127.0.0.1.evil.example", False, "127.0.0.1.evil.example"),
])
def test_hosts(host: str, loopback: bool, plain: str) -> None:
    assert (is_loopback(host), canonical(host)) == (loopback, plain)


def test_a_server_that_listens_everywhere_is_reached_by_loopback() -> None:
    assert [local_form(h) for h in ("0.0.0.0", "::", "192.0.2.1")] == ["127.0.0.1", "::1", "192.0.2.1"]


# -- the file


def store_at(path: Path) -> tuple[Store, list[str]]:
    said: list[str] = []
    store = Store(path, said.append)
    store.load()
    return store, said


@pytest.mark.asyncio
async def test_devices_survive_a_restart_and_the_file_holds_no_token(tmp_path: Path) -> None:
    path = tmp_path / "access.json"
    store, said = store_at(path)
    device, token = store.add("tablet", Scope.EDIT, STRANGER)
    await store.flush()
    assert len(token) >= 22  # 128 bits and more
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token not in path.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["access.json"]
    again, said_again = store_at(path)
    assert again.find(token) == device
    assert again.find(token + "x") is None and again.find("") is None and again.find(device.digest) is None
    assert again.remove(device.id)
    await again.flush()
    assert store_at(path)[0].find(token) is None
    assert said == said_again == []


@pytest.mark.asyncio
async def test_a_pairing_anew_takes_the_place_of_the_older_one(tmp_path: Path) -> None:
    store, _ = store_at(tmp_path / "access.json")
    first, token = store.add("tablet", Scope.PLAY, STRANGER)
    second, _ = store.add("tablet", Scope.ADMIN, STRANGER, replaces=first.id)
    assert (store.find(token), [d.id for d in store]) == (None, [second.id])


@SETTINGS
@given(data=st.data())
def test_a_broken_file_pairs_nobody_is_said_and_kept(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "access.json"
    device = {"id": "0123abcd", "name": "tablet", "scope": "play", "digest": digest_of("token"), "host": "h",
              "created": 1.0, "seen": 1.0, "hosts": {}}
    good = json.dumps({"version": 1, "devices": [device]}).encode()
    body = data.draw(st.one_of(
        st.binary(max_size=60), st.integers(0, len(good) - 1).map(lambda n: good[:n]),
        st.sampled_from([{**device, "scope": "god"}, {**device, "digest": "x"}, {**device, "more": 1},
                         {**device, "created": -1}]).map(lambda d: json.dumps({"version": 1, "devices": [d]}).encode()),
        st.just(json.dumps({"version": 2, "devices": [device]}).encode()),
        st.recursive(st.one_of(st.none(), st.integers(), st.text(max_size=5)), lambda x: st.lists(x, max_size=3)).map(
            lambda v: json.dumps(v).encode())))
    for old in tmp_path.iterdir():
        old.unlink()
    path.write_bytes(body)
    store, said = store_at(path)
    assert (len(store), store.find("token")) == (0, None)
    if body.strip() != b"{}":
        assert len(said) == 1 and str(path) in said[0] and "pair them again" in said[0]
        kept = [p for p in tmp_path.iterdir() if ".broken-" in p.name]
        assert [p.read_bytes() for p in kept] == [body]
        assert not path.exists()


@pytest.mark.asyncio
async def test_a_disk_that_takes_nothing_is_said_once_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.control.access.store.RETRY_S", 0.05)
    path = tmp_path / "not there" / "access.json"
    store, said = store_at(path)
    _, token = store.add("tablet", Scope.PLAY, STRANGER)
    await store.flush()
    await asyncio.sleep(0.2)
    assert len(said) == 1 and "cannot be written" in said[0]
    assert store.find(token) is not None, "it plays on"
    path.parent.mkdir()
    for _ in range(100):
        await asyncio.sleep(0.02)
        if path.exists():
            break
    assert store_at(path)[0].find(token) is not None
    await store.stop()


def test_a_file_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "access.json"
    path.write_text('{"version": 1, "devices": []}')
    path.chmod(0o644)
    store_at(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


# -- OSC's allow-list


@pytest.fixture
def osc(tmp_path: Path) -> tuple[Store, OscAccess, Clock]:
    clock = Clock()
    store = Store(tmp_path / "access.json", lambda text: None, clock)
    return store, OscAccess(store, Limit(Rate(3, 60.0), Rate(10, 60.0), clock), clock), clock


def test_osc_is_taken_from_this_machine_and_from_paired_hosts(osc: tuple[Store, OscAccess, Clock]) -> None:
    store, access, _ = osc
    for address in ("/clock/bpm", "/access/code", "/access/revoke", "/pad/*/trigger", "/nothing", "/"):
        assert access.may("127.0.0.1", address, True) and access.may("::ffff:127.0.0.1", address, False)
        assert not access.may(STRANGER, address, True) and not access.may(STRANGER, address, False)
    device, _ = store.add("tablet", Scope.PLAY, STRANGER)
    may = {(address, writing): access.may(STRANGER, address, writing) for writing in (False, True)
           for address in ("/clock/bpm", "/pad/3/trigger", "/bank/2/pad/3/trigger", "/session/load", "/access/code",
                           "/access/revoke", "/nothing", "/")}
    refused = {("/session/load", True), ("/access/code", False), ("/access/code", True), ("/access/revoke", True)}
    assert {key for key, answer in may.items() if not answer} == refused
    assert access.may(f"::ffff:{STRANGER}", "/clock/bpm", True)
    assert not access.may("192.0.2.8", "/clock/bpm", True)
    store.remove(device.id)
    assert not access.may(STRANGER, "/clock/bpm", False)


def test_a_pattern_may_change_what_all_of_it_may(osc: tuple[Store, OscAccess, Clock]) -> None:
    store, access, _ = osc
    store.add("tablet", Scope.PLAY, STRANGER)
    assert access.may(STRANGER, "/pad/*/trigger", True)
    assert not access.may(STRANGER, "/{session,pads}/*", True)
    assert not access.may(STRANGER, "//*", True)
    store.add("laptop", Scope.ADMIN, STRANGER)
    assert access.may(STRANGER, "/{session,pads}/*", True)


def test_hello_with_a_token_allows_its_host(osc: tuple[Store, OscAccess, Clock]) -> None:
    store, access, clock = osc
    device, token = store.add("tablet", Scope.PLAY, STRANGER)
    assert access.hello("127.0.0.1", "anything", 9001) == ""
    assert not access.may("192.0.2.8", "/clock/bpm", True)
    assert "no such token" in access.hello("192.0.2.8", "wrong", 9001)
    assert "no port" in access.hello("192.0.2.8", token, 70000)
    assert access.hello("192.0.2.8", token, 9001) == ""
    assert access.may("192.0.2.8", "/clock/bpm", True) and access.may(STRANGER, "/clock/bpm", True)
    clock.now += REST_S - 1
    assert access.may("192.0.2.8", "/clock/bpm", True), "heard in time"
    clock.now += REST_S - 1
    assert access.may("192.0.2.8", "/clock/bpm", True)
    assert not access.may(STRANGER, "/clock/bpm", True), "silent for too long: its address may be another's by now"
    store.remove(device.id)
    assert not access.may("192.0.2.8", "/clock/bpm", True)


def test_wrong_tokens_are_limited_and_a_right_one_is_still_taken(osc: tuple[Store, OscAccess, Clock]) -> None:
    store, access, _ = osc
    _, token = store.add("tablet", Scope.PLAY, STRANGER)
    reasons = [access.hello("192.0.2.9", f"wrong{n}", 9001) for n in range(5)]
    assert ["too many" in reason for reason in reasons] == [False, False, False, True, True]
    assert access.hello("192.0.2.9", token, 9001) == ""


@SETTINGS
@given(st.text(max_size=40), st.text(string.printable, max_size=40), st.booleans(), st.text(max_size=60), st.integers())
def test_no_host_address_or_token_breaks_it(
    tmp_path: Path, host: str, address: str, writing: bool, token: str, port: int,
) -> None:
    store = Store(tmp_path / "access.json", lambda text: None)
    access = OscAccess(store, Limit(Rate(3, 60.0), Rate(10, 60.0)))
    store.add("tablet", Scope.PLAY, STRANGER)
    assert access.may(STRANGER, address, writing) in (True, False)
    assert access.may(host, address, writing) is is_loopback(host)
    assert (access.hello(host, token, port) == "") is (is_loopback(host) and 1 <= port <= 65535)


# -- the pages, from this machine


class Web:
    def __init__(self, access: Access, desk: Desk, session: aiohttp.ClientSession) -> None:
        self.access, self.desk, self.session = access, desk, session

    async def post(self, path: str, body: Any, **more: Any) -> tuple[int, Any]:
        sent = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self.session.post(path, **sent, **more) as answer:
            return answer.status, await answer.json()

    async def form(self, path: str, **fields: str) -> tuple[int, str, Any]:
        async with self.session.post(path, data=fields) as answer:
            return answer.status, await answer.text(), answer

    @property
    def code(self) -> str:
        return self.desk.get_now("/access/code")


@pytest_asyncio.fixture
async def web(desk: Desk, request: pytest.FixtureRequest) -> AsyncIterator[Web]:
    """``confirm: code`` unless the test says otherwise."""
    desk.box.config.access.confirm = getattr(request, "param", "code")
    access = Access(desk)
    access.start()
    server = HttpServer(desk, desk.box.config.http, access)
    where = await server.start()
    jar = aiohttp.CookieJar(unsafe=True)  # cookies of a host without a name
    async with aiohttp.ClientSession(f"http://{where}", cookie_jar=jar) as session:
        yield Web(access, desk, session)
    await server.stop()
    await access.stop()


@pytest.mark.asyncio
async def test_a_program_pairs(web: Web) -> None:
    status, asked = await web.post("/pair", {"name": "script", "scope": "edit"})
    assert (status, 110 <= asked["seconds"] <= 120) == (200, True)
    assert web.code not in json.dumps(asked)
    plain = {"Content-Type": "application/x-www-form-urlencoded"}  # what curl -d says of JSON
    status, asked = await web.post("/pair", b'{"name": "script", "scope": "edit"}', headers=plain)
    assert (status, set(asked)) == (200, {"id", "seconds"})
    status, answer = await web.post("/pair/code", {"id": asked["id"], "code": web.code})
    assert (status, answer["name"], answer["scope"]) == (200, "script", "edit")
    visitor = web.access.visitor(STRANGER, answer["token"])
    assert visitor.device is not None and visitor.device.scope is Scope.EDIT
    assert (await web.post("/pair/code", {"id": asked["id"], "code": "000000"}))[0] == 410, "once"
    assert web.code == ""


@pytest.mark.asyncio
async def test_a_browser_pairs_without_a_script(web: Web) -> None:
    async with web.session.get("/pair") as answer:
        page, headers = await answer.text(), answer.headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"], headers["Cache-Control"]) == (
        "nosniff", "no-referrer", "no-store")
    assert not re.search(r"<script|https?://|src=|@import|url\(| on\w+=", page)
    assert "width=device-width" in page
    status, page, answer = await web.form("/pair", name="<b>phone</b>", scope="play")
    assert status == 200 and "<b>phone" not in page and "&lt;b&gt;phone" in page
    assert web.code not in page
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/pair" in cookie
    status, page, _ = await web.form("/pair/code", code=f"{(int(web.code) + 1) % 1000000:06d}")
    assert (status, "4 more tries" in page) == (403, True)
    status, page, answer = await web.form("/pair/code", code=f"{web.code[:3]} {web.code[3:]}")
    token = re.search(r"<code>([\w-]{22,})</code>", page)
    assert status == 200 and token is not None
    cookie = next(c for c in answer.headers.getall("Set-Cookie") if c.startswith("appliance_token_"))
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and token[1] in cookie
    assert [d.name for d in web.access.store] == ["<b>phone</b>"]
    status, page, _ = await web.form("/pair/code", code="123456")
    assert (status, "Begin again" in page) == (410, True)


@pytest.mark.asyncio
@pytest.mark.parametrize("web", ["held"], indirect=True)
async def test_a_held_control_confirms(web: Web) -> None:
    _, asked = await web.post("/pair", {"name": "tablet"})
    typed = {"id": asked["id"], "code": web.code}
    assert (await web.post("/pair/code", typed))[0] == 202
    web.desk.set_now("/access/confirm", True)
    await asyncio.sleep(0.3)
    web.desk.set_now("/access/confirm", False)  # let go too early
    await asyncio.sleep(1.0)
    assert (await web.post("/pair/code", typed))[0] == 202
    web.desk.set_now("/access/confirm", True)
    for _ in range(100):
        await asyncio.sleep(0.05)
        if not web.desk.get_now("/access/confirm"):
            break
    status, answer = await web.post("/pair/code", typed)
    assert (status, answer["scope"]) == (200, "play")
    assert "is paired" in web.desk.get_now("/access/message")


@pytest.mark.asyncio
@pytest.mark.parametrize("web", ["held"], indirect=True)
async def test_a_button_of_a_controller_confirms_while_it_is_held(web: Web, tmp_path: Path) -> None:
    path = tmp_path / "test.yaml"
    path.write_text("profile: 1\nname: Test\ndevice: {match: [test]}\nsurface: {shift: {note: 1}, key: {note: 20}}\n"
                    "layers: {shift: shift}\nbindings: {shift + key: /access/confirm}\n", encoding="utf-8")
    hand = Hand(load_profile(path), Router(web.desk), send=lambda data: None)
    _, asked = await web.post("/pair", {"name": "tablet"})
    typed = {"id": asked["id"], "code": web.code}
    await web.post("/pair/code", typed)
    for held_s, status in ((0.4, 202), (1.3, 200)):
        hand.take(0x90, 1, 127)
        hand.take(0x90, 20, 127)
        assert web.desk.get_now("/access/confirm") is True
        await asyncio.sleep(held_s)
        hand.take(0x80, 20, 0)
        hand.take(0x80, 1, 0)
        assert web.desk.get_now("/access/confirm") is False
        assert (await web.post("/pair/code", typed))[0] == status


@pytest.mark.asyncio
@pytest.mark.parametrize("web", ["held"], indirect=True)
async def test_the_browsers_page_waits_for_the_held_control(web: Web) -> None:
    await web.form("/pair", name="phone", scope="play")
    status, page, answer = await web.form("/pair/code", code=web.code)
    assert (status, "hold the control" in page, answer.headers["Refresh"]) == (202, True, "2; url=/pair/code")
    await web.desk.do("/access/approve", ["phone"])
    async with web.session.get("/pair/code") as answer:
        assert answer.status == 200
        assert "may play now" in await answer.text()


@pytest.mark.asyncio
async def test_the_code_is_told_in_private_nodes_and_the_log_alone(
    web: Web, caplog: pytest.LogCaptureFixture, box: Any,
) -> None:
    heard: list[tuple[str, Any]] = []
    private: list[tuple[str, Any]] = []
    web.desk.subscribe(lambda address, value: heard.append((address, value)), lambda address: True)
    web.desk.subscribe(lambda address, value: private.append((address, value)), private=True)
    _, asked = await web.post("/pair", {"name": "tablet"})
    code = web.code
    assert {a for a, v in private if code in str(v).replace(" ", "")} == {"/access/requests", "/access/code", "/access/message"}
    assert not [a for a, v in heard if code in str(v).replace(" ", "")]
    assert code in caplog.text.replace(" ", ""), "console and journal"
    assert code not in str(web.desk.get_now("/system/messages")).replace(" ", "")
    assert not [a for a, v in web.desk.current("/access/*") if code in str(v)]
    _, answer = await web.post("/pair/code", {"id": asked["id"], "code": code})
    assert answer["token"] not in caplog.text + str(private)


@pytest.mark.asyncio
@pytest.mark.parametrize(("path", "body", "status"), [
    ("/pair", {"name": ""}, 422), ("/pair", {}, 422), ("/pair", {"name": "x", "scope": "god"}, 422), ("/pair", [], 400),
    ("/pair", b"{", 400), ("/pair", {"name": "x" * 5000}, 413), ("/pair/code", {"id": "x", "code": "1"}, 410),
    ("/pair/code", {"id": ["x"], "code": None}, 410), ("/pair", {"name": 7}, 422), ("/pair", b"\xff" * 30, 400),
])
async def test_refusals_of_the_pairing_pages(web: Web, path: str, body: Any, status: int) -> None:
    got, answer = await web.post(path, body)
    assert (got, bool(answer["error"])) == (status, True), answer
    assert web.access.pairing.waiting() == []


@pytest.mark.asyncio
async def test_a_closed_door_takes_nobody_and_an_expired_code_nothing(web: Web) -> None:
    web.desk.set_now("/access/open", False)
    assert (await web.post("/pair", {"name": "tablet"}))[0] == 403
    web.desk.set_now("/access/open", True)
    _, asked = await web.post("/pair", {"name": "tablet"})
    web.access.pairing.find(asked["id"], "127.0.0.1").until_s -= 200
    assert (await web.post("/pair/code", {"id": asked["id"], "code": web.code}))[0] == 410
    assert len(web.access.store) == 0


@pytest.mark.asyncio
async def test_a_proxy_on_this_machine_is_no_way_in(web: Web) -> None:
    for name in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"):
        async with web.session.get("/api/v1/clock/bpm", headers={name: "127.0.0.1"}) as answer:
            assert answer.status == 401, name


# -- the command line


@pytest.mark.asyncio
async def test_the_command_line_lists_confirms_and_revokes(web: Web) -> None:
    web.desk.box.config.access.confirm = "held"
    hub = HubServer(web.desk.box.hub_path, web.desk)
    web.desk.hub = hub
    await hub.start()

    async def appliance(*words: str) -> tuple[int, str]:
        done = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "appliance", "pair", "--data", str(web.desk.box.data), *words,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = await done.communicate()
        return done.returncode or 0, output.decode()

    try:
        assert await appliance() == (0, "no device is paired, and none waits\n")
        _, asked = await web.post("/pair", {"name": "my tablet", "scope": "edit"})
        _, told = await appliance("list")
        assert f"{web.code[:3]} {web.code[3:]}" in told and "my tablet" in told and "edit" in told
        status, told = await appliance("revoke", "nobody")
        assert (status, "no device 'nobody'" in told) == (1, True)
        assert (await appliance("confirm"))[0] == 0
        status, answer = await web.post("/pair/code", {"id": asked["id"], "code": web.code})
        assert status == 200
        assert "paired" in (await appliance())[1]
        assert await appliance("revoke", "my tablet") == (0, "not paired any more: my tablet\n")
        with pytest.raises(ApplianceError) as caught:
            web.access.visitor(STRANGER, answer["token"])
        assert caught.value.status == 401
        await web.post("/pair", {"name": "other"})
        assert (await appliance("refuse", "other"))[0] == 0
        assert web.code == ""
        assert (await appliance("confirm"))[0] == 1
    finally:
        await hub.stop()
