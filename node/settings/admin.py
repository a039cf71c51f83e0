"""The settings of the operators' gate: where it stands, whose keys open it, whether it has TLS."""

from pathlib import Path

import attrs

from greenroom.node.admin.keys import AdminKeyList, AdminKeys
from greenroom.node.door.loopback import is_loopback
from greenroom.node.errors import SettingsError
from greenroom.node.settings.kinds import FilePath, Flag, Integer, Text, about


@attrs.frozen(kw_only=True, slots=False)  # one base of several may have slots
class AdminSettings:
    """What an operator can choose about the gate."""

    admin_host: str = attrs.field(
        default="127.0.0.1",
        metadata=about(Text(), "Address of the operators' gate, never that of the clients."),
    )
    admin_port: int | None = attrs.field(
        default=None,
        metadata=about(
            Integer(0, 65535), "Port of the operators' gate; 0 takes a free one. Unset: no gate."
        ),
    )
    admin_keys: AdminKeys | None = attrs.field(
        default=None,
        metadata=about(AdminKeyList(), "Keys that open it, as NAME=KEY or NAME:read=KEY."),
    )
    admin_keys_file: Path | None = attrs.field(
        default=None, metadata=about(FilePath(), "File that holds them, instead of naming them.")
    )
    admin_tls: bool | None = attrs.field(
        default=None,
        metadata=about(
            Flag(),
            "TLS at the gate too, with the node's certificate. Unset: unless admin_host is this "
            "machine.",
        ),
    )
    admin_behind_proxy: bool = attrs.field(
        default=False,
        metadata=about(
            Flag(), "A proxy speaks TLS before admin_host, so the gate itself need not."
        ),
    )

    def check_admin(self, *, tls: bool, port: int) -> None:
        """Refuse settings that contradict each other, or would send keys in the clear.

        Args:
            tls: Whether the node has a certificate.
            port: That of the clients.

        Raises:
            SettingsError: They do.
        """
        if self.admin_keys is not None and self.admin_keys_file is not None:
            raise SettingsError("admin_keys and admin_keys_file are both set: keep one of them")
        if self.admin_port is None:
            return
        if self.admin_keys is None and self.admin_keys_file is None:
            raise SettingsError(
                "admin_port is set but admin_keys is not: nobody could come in "
                "(try: echo ops=$(openssl rand -hex 32))"
            )
        if self.admin_port == port != 0:
            raise SettingsError("admin_port and port are the same: the gate has a port of its own")
        if self.admin_tls and not tls:
            raise SettingsError("admin_tls is set but tls_cert is not")
        if not (is_loopback(self.admin_host) or self.gate_has_tls(tls=tls)):
            if self.admin_behind_proxy:
                return
            raise SettingsError(
                f"admin_host {self.admin_host} can be reached by others, who could read the keys "
                "on their way: set tls_cert and tls_key, or admin_behind_proxy where a proxy "
                "speaks TLS"
            )

    def gate_has_tls(self, *, tls: bool) -> bool:
        """Whether the gate speaks TLS, on a node that has a certificate or not."""
        if self.admin_tls is not None:
            return self.admin_tls
        return tls and not is_loopback(self.admin_host) and not self.admin_behind_proxy
