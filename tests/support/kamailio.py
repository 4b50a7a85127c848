"""Kamailio as the provider's own exchange: a registrar that keeps Paths, a proxy between its accounts, a voicemail for who
does not answer, and announcements of its own.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType

from callvoip.phones.baresip import free_port
from callvoip.process import die_with_parent, end

ACCOUNT, PASSWORD = "edge", "between-us"
"""What the node shows the exchange."""
_CONFIGURATION = """#!KAMAILIO
debug=2
log_stderror=yes
fork=yes
children=1
tcp_children=1
auto_aliases=no
tcp_connection_lifetime=3605
tcp_accept_no_cl=no
alias="{domain}"
listen=tcp:127.0.0.1:{port}
listen=udp:127.0.0.1:{port}
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "kex.so"
loadmodule "ctl.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "tm.so"
loadmodule "rr.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "xlog.so"
loadmodule "usrloc.so"
loadmodule "path.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("ctl", "binrpc", "unix:{directory}/ctl")
modparam("usrloc", "db_mode", 0)
modparam("registrar", "max_expires", 300)
modparam("registrar", "use_path", 1)
modparam("registrar", "path_mode", 1)
modparam("registrar", "path_use_received", 0)
modparam("tm", "fr_timer", 5000)

request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("OPTIONS") && uri==myself && $rU == $null) {{ sl_send_reply("200", "OK"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (has_totag()) {{
        if (loose_route()) {{ t_relay(); exit; }}
        if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
        sl_send_reply("404", "Not here");
        exit;
    }}
    if (is_method("REGISTER|INVITE|SUBSCRIBE|MESSAGE") && !({trusted})) {{
        if (!pv_www_authenticate("$td", "{password}", "0")) {{ www_challenge("$td", "0"); exit; }}
        if ($au != "{account}") {{ sl_send_reply("403", "Only the edge"); exit; }}
        consume_credentials();
    }}
    if (is_method("REGISTER")) {{
        if ($tU =~ "-209$") {{ sl_send_reply("403", "Not known here"); exit; }}
        save("location");
        exit;
    }}
    record_route();
{reaches}
    if (is_method("SUBSCRIBE") && $hdr(Event) =~ "message-summary") {{ $ru = "{mailbox}"; t_relay(); exit; }}
    if (!lookup("location")) {{
        xlog("L_INFO", "nobody at $rU\\n");
        route(VOICEMAIL);
        exit;
    }}
    t_on_failure("NOBODY");
    t_set_fr(6000, 5000);
    t_relay();
}}

route[VOICEMAIL] {{
    if (!is_method("INVITE")) {{ sl_send_reply("480", "Not there"); exit; }}
    append_hf("Diversion: <sip:$rU@{domain}>;reason=no-answer\\r\\n");
    $ru = "{voicemail_uri}";
    $du = $null;
    t_relay();
}}

failure_route[NOBODY] {{
    if (t_is_canceled()) exit;
    if (t_check_status("408|480|486")) route(VOICEMAIL);
}}
"""


def _rule(dialled: str, to: str) -> str:
    """What it does with one number of its own."""
    if to.startswith("sip:"):
        return f'    if (is_method("INVITE") && $rU == "{dialled}") {{ $ru = "{to}"; t_relay(); exit; }}'
    return f'    if (is_method("INVITE") && $rU == "{dialled}") {{ $rU = "{to}"; }}'


class Kamailio:
    """A running exchange; `voicemail` is the SIP URI of who takes calls that nobody answers."""

    def __init__(
        self,
        directory: Path,
        *,
        domain: str,
        voicemail: str,
        reaches: Mapping[str, str] = MappingProxyType({}),
        mailbox: str = "",
        trusted: Sequence[int] = (),
    ) -> None:
        """`reaches` are what it can be asked for beside its accounts, each with a SIP URI, or an account's name; `mailbox` is
        the SIP URI of who tells about new messages; `trusted` are UDP ports on 127.0.0.1 of who shows no account.
        """
        directory.mkdir(parents=True)
        self.directory, self.port = directory, free_port()
        self.log = directory / "log"
        self._settings = directory / "kamailio.cfg"
        self._settings.write_text(
            _CONFIGURATION.format(
                port=self.port,
                domain=domain,
                account=ACCOUNT,
                password=PASSWORD,
                directory=directory,
                voicemail_uri=voicemail,
                mailbox=mailbox or voicemail,
                trusted=" || ".join(f"$sp == {port}" for port in trusted) or "$sp == 0",
                reaches="\n".join(_rule(dialled, to) for dialled, to in reaches.items()),
            )
        )
        self._start()

    def _start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["kamailio", "-f", str(self._settings), "-DD", "-m", "64", "-M", "8", "-Y", str(self.directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )
        self._wait()

    def restart(self) -> None:
        """Another process in its place, which knows nobody."""
        end(self._process, 10)
        self._start()

    def _wait(self) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < deadline and self._process.poll() is None, self.text()[-4000:]
                time.sleep(0.05)
            else:
                return

    def trunk(self, transport: str = "tcp") -> dict[str, object]:
        """How the node is told of it."""
        return {
            "name": "exchange",
            "host": "127.0.0.1",
            "port": self.port,
            "transport": transport,
            "username": ACCOUNT,
            "password": PASSWORD,
            "home": True,
        }

    def registered(self) -> str:
        """Its location table, as its own tool prints it."""
        command = ["kamcmd", "-s", f"unix:{self.directory}/ctl", "ul.dump"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def text(self) -> str:
        """Everything it printed."""
        return self.log.read_text(errors="replace")

    def __enter__(self) -> Kamailio:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end(self._process, 10)
