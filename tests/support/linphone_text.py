"""liblinphone with real-time text switched on, which none of the programs that come with it can do: a phone that is driven by
lines on its input, as linphonec is.

    python -m tests.support.linphone_text CONFIGURATION LOG SOUND

`call ADDRESS`, `answer`, `type TEXT`, `hangup`. It prints what it does, and `read LETTER` for each that was typed to it.
"""

from __future__ import annotations

import ctypes
import select
import sys
import time
from typing import Any, Final

_POINTERS: Final = (
    "linphone_factory_get",
    "linphone_factory_create_core_3",
    "linphone_core_create_call_params",
    "linphone_core_invite_with_params",
    "linphone_core_get_current_call",
    "linphone_call_get_chat_room",
    "linphone_chat_room_create_empty_message",
)
_RUNNING: Final = 8
"""The LinphoneCallState of a call whose streams run."""


class TextPhone:
    """One liblinphone core."""

    def __init__(self, configuration: str, log: str, sound: str) -> None:
        self.lib = ctypes.CDLL("liblinphone.so.10")
        for name in _POINTERS:
            getattr(self.lib, name).restype = ctypes.c_void_p
        self.lib.linphone_chat_room_get_char.restype = ctypes.c_uint32
        self._log = ctypes.CDLL(None).fopen
        self._log.restype = ctypes.c_void_p
        self.lib.linphone_core_set_log_level_mask(0x3F)
        self.lib.linphone_core_set_log_file(ctypes.c_void_p(self._log(log.encode(), b"w")))
        factory = self._p("linphone_factory_get")
        self.core = self._p("linphone_factory_create_core_3", factory, configuration.encode(), None, None)
        self.lib.linphone_core_enable_realtime_text(self.core, 1)
        self.lib.linphone_core_set_use_files(self.core, 1)
        self.lib.linphone_core_set_play_file(self.core, sound.encode())
        self.lib.linphone_core_start(self.core)
        self._message: ctypes.c_void_p | None = None

    def _p(self, name: str, *arguments: Any) -> ctypes.c_void_p:
        return ctypes.c_void_p(getattr(self.lib, name)(*arguments))

    def _parameters(self) -> ctypes.c_void_p:
        parameters = self._p("linphone_core_create_call_params", self.core, None)
        self.lib.linphone_call_params_enable_realtime_text(parameters, 1)
        return parameters

    def _room(self) -> ctypes.c_void_p | None:
        call = self._p("linphone_core_get_current_call", self.core)
        if not call or self.lib.linphone_call_get_state(call) != _RUNNING:
            return None
        return self._p("linphone_call_get_chat_room", call) or None

    def obey(self, line: str) -> None:
        """One line of input."""
        verb, _, rest = line.strip().partition(" ")
        if verb == "call":
            self._p("linphone_core_invite_with_params", self.core, rest.encode(), self._parameters())
        elif verb == "answer":
            call = self._p("linphone_core_get_current_call", self.core)
            self.lib.linphone_call_accept_with_params(call, self._parameters())
        elif verb == "type":
            room = self._room()
            if room is None:
                print("no text", flush=True)
                return
            self._message = self._message or self._p("linphone_chat_room_create_empty_message", room)
            for letter in rest:
                self.lib.linphone_chat_message_put_char(self._message, ord(letter))
        elif verb == "hangup":
            self.lib.linphone_core_terminate_all_calls(self.core)
        print(f"done {line.strip()}", flush=True)

    def turn(self) -> None:
        """Lets it work, and prints what has been typed to it."""
        self.lib.linphone_core_iterate(self.core)
        room = self._room()
        while room is not None and (letter := self.lib.linphone_chat_room_get_char(room)):
            print(f"read {chr(letter)}", flush=True)


def main(arguments: list[str]) -> int:
    """Runs until its input ends."""
    phone = TextPhone(*arguments)
    while True:
        phone.turn()
        if select.select([sys.stdin], [], [], 0)[0]:
            if not (line := sys.stdin.readline()):
                return 0
            phone.obey(line)
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
