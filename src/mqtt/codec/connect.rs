//! CONNECT (3.1.1 §3.1, 5.0 §3.1), the first packet of a connection.

use bytes::Bytes;

use super::properties::{OF_CONNECT, OF_WILL, Properties};
use super::reader::{MALFORMED, Read, Reader};
use super::{BadPacket, MessageProperties, Publish, Version, reason};

/// Bridges of mosquitto set this bit of the protocol level to say what they are.
const BRIDGE: u8 = 0x80;

/// A CONNECT packet.
#[derive(Debug)]
pub(in crate::mqtt) struct Connect {
    pub(in crate::mqtt) version: Version,
    /// MQTT 3.1: its CONNACK has no Session Present bit.
    pub(in crate::mqtt) is_31: bool,
    /// Another broker: what it publishes does not come back to it, whatever it subscribes to.
    pub(in crate::mqtt) is_bridge: bool,
    pub(in crate::mqtt) clean: bool,
    pub(in crate::mqtt) keep_alive: u16,
    pub(in crate::mqtt) client_id: String,
    pub(in crate::mqtt) username: Option<String>,
    pub(in crate::mqtt) password: Option<Password>,
    pub(in crate::mqtt) will: Option<Will>,
    /// Seconds; for 3.1.1 none: a persistent session has no time of its own there.
    pub(in crate::mqtt) session_expiry: Option<u32>,
    pub(in crate::mqtt) receive_max: u16,
    pub(in crate::mqtt) max_packet: Option<u32>,
    pub(in crate::mqtt) wants_authentication_exchange: bool,
}

/// A password; never shown.
pub(in crate::mqtt) struct Password(Box<[u8]>);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

impl Password {
    pub(in crate::mqtt) fn reveal(&self) -> &[u8] {
        &self.0
    }
}

#[derive(Debug)]
pub(in crate::mqtt) struct Will {
    pub(in crate::mqtt) publish: Publish,
    /// Seconds.
    pub(in crate::mqtt) delay: u32,
}

/// Why a first packet is not even looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mqtt) enum ConnectFault {
    /// The first packet is something else, or no MQTT at all.
    NotConnect,
    /// MQTT of a level we do not speak.
    Level,
}

/// Protocol name and level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Protocol {
    version: Version,
    is_31: bool,
    is_bridge: bool,
}

/// The version that a whole CONNECT packet names.
pub(in crate::mqtt) fn connect_version(packet: &[u8]) -> Result<Version, ConnectFault> {
    if packet.first() != Some(&0x10) {
        return Err(ConnectFault::NotConnect);
    }
    let mut from = super::body(packet).map_err(|_| ConnectFault::NotConnect)?;
    protocol(&mut from).map(|protocol| protocol.version)
}

fn protocol(from: &mut Reader<'_>) -> Result<Protocol, ConnectFault> {
    let name = from.binary().map_err(|_| ConnectFault::NotConnect)?;
    if !matches!(name, b"MQTT" | b"MQIsdp") {
        return Err(ConnectFault::NotConnect);
    }
    let level = from.u8().map_err(|_| ConnectFault::NotConnect)?;
    let is_bridge = level & BRIDGE != 0;
    match level & !BRIDGE {
        3 | 4 => Ok(Protocol { version: Version::V3, is_31: level & !BRIDGE == 3, is_bridge }),
        5 if !is_bridge => Ok(Protocol { version: Version::V5, is_31: false, is_bridge }),
        _ => Err(ConnectFault::Level),
    }
}

/// The bits of the connect flags (5.0 §3.1.2.3).
#[derive(Clone, Copy)]
struct Flags(u8);

impl Flags {
    fn check(self, version: Version) -> Read<Self> {
        let will = self.has_will();
        let bad = self.0 & 0x01 != 0
            || self.will_qos() > 2
            || (!will && self.0 & 0x38 != 0)
            // 3.1.1 §3.1.2.9; MQTT 5 allows a password alone.
            || (version == Version::V3 && self.has_password() && !self.has_username());
        if bad { Err(MALFORMED) } else { Ok(self) }
    }
    fn clean(self) -> bool {
        self.0 & 0x02 != 0
    }
    fn has_will(self) -> bool {
        self.0 & 0x04 != 0
    }
    fn will_qos(self) -> u8 {
        self.0 >> 3 & 3
    }
    fn will_retain(self) -> bool {
        self.0 & 0x20 != 0
    }
    fn has_password(self) -> bool {
        self.0 & 0x40 != 0
    }
    fn has_username(self) -> bool {
        self.0 & 0x80 != 0
    }
}

/// Reads what follows the fixed header of a CONNECT.
pub(super) fn read(from: &mut Reader<'_>) -> Read<Connect> {
    let Protocol { version, is_31, is_bridge } = protocol(from).map_err(|_| MALFORMED)?;
    let flags = Flags(from.u8()?).check(version)?;
    let keep_alive = from.u16()?;
    let properties = match version {
        Version::V3 => Properties::default(),
        Version::V5 => Properties::read(from, OF_CONNECT)?,
    };
    let client_id = from.text()?.to_owned();
    let will = flags.has_will().then(|| read_will(from, version, flags)).transpose()?;
    let username = flags.has_username().then(|| from.text()).transpose()?.map(str::to_owned);
    let password = flags.has_password().then(|| from.binary()).transpose()?.map(|bytes| Password(bytes.into()));
    from.end()?;
    if version == Version::V3 && client_id.is_empty() && !flags.clean() {
        return Err(BadPacket(reason::CLIENT_ID_INVALID)); // 3.1.1 §3.1.3.1
    }
    Ok(Connect {
        version,
        is_31,
        is_bridge,
        clean: flags.clean(),
        keep_alive,
        client_id,
        username,
        password,
        will,
        session_expiry: (version == Version::V5).then(|| properties.session_expiry.unwrap_or(0)),
        receive_max: properties.receive_max.unwrap_or(u16::MAX),
        max_packet: properties.max_packet,
        wants_authentication_exchange: properties.has_auth_method,
    })
}

fn read_will(from: &mut Reader<'_>, version: Version, flags: Flags) -> Read<Will> {
    let (delay, properties) = match version {
        Version::V3 => (0, MessageProperties::default()),
        Version::V5 => {
            let properties = Properties::read(from, OF_WILL)?;
            (properties.will_delay.unwrap_or(0), properties.message)
        }
    };
    let publish = Publish {
        retain: flags.will_retain(),
        qos: flags.will_qos(),
        topic: from.text()?.to_owned(),
        id: 0,
        properties,
        payload: Bytes::copy_from_slice(from.binary()?),
    };
    Ok(Will { publish, delay })
}
