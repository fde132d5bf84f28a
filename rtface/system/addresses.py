"""Addresses as they may be shown: without passwords, tokens and keys."""

from __future__ import annotations

import re
from urllib.parse import unquote

#: What stands in place of a secret.
MASK = "…"

_SECRET_WORDS = (
    *("pass", "pwd", "loginpas", "token", "secret", "key", "auth", "sig", "cred", "session", "jwt", "bearer", "hmac"),
    *("streamid", "webhook", "otp", "ticket", "nonce", "kennwort", "contrase", "clave", "senha"),
)
_SECRET_ENDS = ("pw", "psw")
#: Names that are a secret's as a whole; as a part of a word they mean others.
_SECRET_NAMES = frozenset({"pin", "code", "access", "k", "sid", "hash", "basic", "digest", "mdp"})
#: ``login=me:secret``
_LOGIN_NAMES = ("login", "user", "usr")
#: What ends so behind a part that is called like a secret is a page or a video: ``/auth/live.m3u8``.
_PAGE = re.compile(
    r"(?i).*\.(?:mp4|m3u8|mpd|ts|mkv|webm|avi|mov|flv|sdp|mjpe?g|jpe?g|png|gif|cgi|html?|php|aspx?|json)"
)
#: A user's name stands beside a password that is called by its first letter: ``u=me&p=secret``.
_USER = re.compile(r"(?i)(?:^|[?&;_])(?:u|usr|un|user\w*|login\w*|account)=")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
#: Without a scheme, or with a slip in it: ``me:secret@cam``, ``rtsp:/me:secret@cam``, ``rtsp//me:secret@cam``.
_CREDENTIALS = re.compile(r"(?:[\w+.\-]*[/\\]{1,2})?[^/\\@\s]+:[^@\s]+@[^/\s]")
_CREDENTIALS_IN_TEXT = re.compile(
    r"(?<![\w/])(?:[\w+.\-]*:?[/\\]{1,2})?[^/\\@\s\"'<>`(…]+:(?!//)[^@\s\"'<>`]+@(?=[\w\[])"
)
_ADDRESS_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^\s\"'<>`]+")
_ASSIGNED_IN_TEXT = re.compile(
    r"(?i)\b((?:[\w\-]*(?:passw|passphrase|token|secret|api[_\-]?key|authorization)[\w\-]*|[\w\-]*(?:pw|pwd|pass))(?<!file)"
    r"[\"']?\s*[=:]\s*(?:(?:basic|bearer|digest)\s+)?)"
    r"(\"[^\"]*\"?|'[^']*'?|[^\s,;\"'&()]+)"
)
#: Where a setting begins in a query, and in a path: XMEye's cameras have ``user=admin_password=x_channel=1``.
_QUERY_GAP = r"[&;]|[?#](?=[\w%.\-]+=)"
_PATH_GAP = r"[&;,]|_(?=[A-Za-z]+=)"
_QUERY_SETTING, _PATH_SETTING = (
    re.compile(rf"(?P<gap>^|{gap})(?P<key>[^=&;,?#]+?)=(?P<value>.*?)(?=$|{gap})") for gap in (_QUERY_GAP, _PATH_GAP)
)
_TOKEN = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9_\-:]{20,}|eyJ[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]*")


def shown_address(address: str) -> str:
    """An address as it may be printed, written into a record, or put into a file's name.

    Masked are everything before the last @ of the authority (also where the password holds ``/``, ``?`` or ``@`` that
    should have been escaped), values of settings that are called like a secret (``password=``, ``token=``, SRT's
    ``passphrase=`` and ``streamid=``, …) in the query, the fragment and the path, path parts behind a part of such a
    name, and path parts that look like a token. When in doubt more is masked. Text that is no address, such as a path
    or "demo", comes back as it is unless it holds credentials.

    Example:
        >>> shown_address("rtsp://admin:s3cret@cam.local/stream?token=abc&profile=1")
        'rtsp://…@cam.local/stream?token=…&profile=1'
    """
    scheme = _SCHEME.match(address)
    if scheme is None:
        if "://" in address or address.startswith("gst:"):  # a pipeline, say, with an address in it
            return shown_text(address)
        return MASK + address[address.rindex("@") :] if _CREDENTIALS.match(address) else address
    rest = _without_credentials(address[scheme.end() :])
    authority, mark, tail = _cut(rest, "/?#")
    return scheme[0] + authority + _masked_tail(mark + tail)


def shown_text(text: str) -> str:
    """Prose, such as another library's error, with each address in it as `shown_address` shows it."""
    text = _ADDRESS_IN_TEXT.sub(lambda found: shown_address(found[0]), text)
    text = _CREDENTIALS_IN_TEXT.sub(f"{MASK}@", text)
    return _ASSIGNED_IN_TEXT.sub(lambda found: found[1] + MASK, text)


def _without_credentials(rest: str) -> str:
    """What follows ``scheme://``, its user and password masked."""
    authority, mark, tail = _cut(rest, "/?#")
    end = authority.rfind("@")
    port = re.sub(r"^\[[^\]]*\]", "", authority).partition(":")[2]
    if end < 0 and not port:
        return rest
    # An unescaped / ? or # in the password makes the parts wrong: the @ that ends it stands further on.
    # What is no number is no port: it is a password, whatever stands before its @.
    sure = (mark + tail).find("@") + 1 if end < 0 and not port.isdigit() else 0
    limit = _end_of_odd_password((mark + tail)[sure:], numeric_port=end < 0 and port.isdigit())
    later = (mark + tail).rfind("@", 0, sure + limit)
    if later >= 0:
        end = len(authority) + later
    return rest if end < 0 else MASK + rest[end:]


def _end_of_odd_password(tail: str, *, numeric_port: bool) -> int:
    """Up to where an @ in what seems to be the path may still end a password."""
    if numeric_port:  # host:80/…: only a path that begins with the rest of a password
        first = re.match(r"/[^/?#@]+@[^/?#]*", tail)
        return first.end() if first else 0
    setting = re.search(r"[?#][^@]*=", tail)
    return setting.start() if setting else len(tail)


def _masked_tail(tail: str) -> str:
    path, mark, query = _cut(tail, "?#")
    query = _QUERY_SETTING.sub(_masked_setting, query)
    return _masked_path(path) + mark + _ASSIGNED_IN_TEXT.sub(lambda found: found[1] + MASK, query)


def _masked_setting(found: re.Match[str]) -> str:
    value = found["value"]
    beside_user = found["key"].lower() == "p" and _USER.search(found.string) is not None
    both = ":" in unquote(value) and "://" not in unquote(value) and found["key"].lower().startswith(_LOGIN_NAMES)
    if value and (beside_user or both or _is_secret(found["key"]) or _TOKEN.fullmatch(value)):
        value = MASK
    elif "://" in unquote(value):
        value = shown_address(unquote(value))
    return f"{found['gap']}{found['key']}={value}"


def _masked_path(path: str) -> str:
    shown: list[str] = []
    before, hook = "", False
    for part in path.split("/"):
        hook = hook or "webhook" in before.lower()  # its number, and its key
        if "=" in part:
            shown.append(_PATH_SETTING.sub(_masked_setting, part))
        elif part and (_TOKEN.fullmatch(unquote(part)) or hook or (_is_secret(before) and not _PAGE.fullmatch(part))):
            shown.append(MASK)
        else:
            shown.append(part)
        before = part
    return "/".join(shown)


def _is_secret(name: str) -> bool:
    plain = re.sub(r"[\W_]", "", unquote(name)).lower()
    return plain in _SECRET_NAMES or plain.endswith(_SECRET_ENDS) or any(word in plain for word in _SECRET_WORDS)


def _cut(text: str, marks: str) -> tuple[str, str, str]:
    """Like ``str.partition`` at the first of several marks."""
    found = re.search(f"[{re.escape(marks)}]", text)
    return (text, "", "") if found is None else (text[: found.start()], found[0], text[found.end() :])
