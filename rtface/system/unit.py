"""A systemd unit that keeps a command running."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

UNIT = """\
# {name}: written by `rtface service`; put it into /etc/systemd/system/{name}.service, then
#   systemctl daemon-reload && systemctl enable --now {name}
#   systemctl status {name}      journalctl -u {name} -f
[Unit]
Description=rtface: {about}
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
# READY comes with the first result; after that a result is due every WatchdogSec.
TimeoutStartSec=300
WatchdogSec=20
Restart=always
RestartSec=3
# 129, 130 and 143: hang-up, Ctrl-C and stop; what was written is whole.
SuccessExitStatus=129 130 143
TimeoutStopSec=20

# A user of its own that exists only while it runs; it may see cameras and the GPU, and write into these folders only.
DynamicUser=yes
SupplementaryGroups={groups}
StateDirectory={name}
CacheDirectory={name}
WorkingDirectory=%S/{name}
Environment=XDG_CACHE_HOME=%C/{name} PYTHONUNBUFFERED=1
{token}NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome={home}
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
LockPersonality=yes
UMask=0077

[Install]
WantedBy=multi-user.target
"""


def unit_text(program: Path, arguments: Sequence[str], *, name: str, about: str, groups: Sequence[str]) -> str:
    """The unit.

    Args:
        program: The command, with its whole path.
        arguments: What follows it.
        name: Of the service, its folders and its user.
        about: What it does, in a line.
        groups: Whose devices it may open.
    """
    in_home = any(str(program).startswith(home) for home in ("/home/", "/root/"))
    serves = arguments[:1] == ["serve"]
    token = f"# RTFACE_TOKEN=… in this file, for --host; only root can read it.\nEnvironmentFile=-/etc/{name}.env\n"
    return UNIT.format(
        name=name,
        about=about,
        command=" ".join(quoted(word) for word in (str(program), *arguments)),
        groups=" ".join(groups),
        home="read-only" if in_home else "yes",
        token=token if serves else "",
    )


def quoted(word: str) -> str:
    """A word as ExecStart takes it: % and $ mean something there, quotes as in C."""
    word = word.replace("%", "%%").replace("$", "$$")
    if word and all(letter.isalnum() or letter in "-_./:=@%$,+?&" for letter in word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
