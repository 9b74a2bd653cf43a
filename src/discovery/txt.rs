//! The TXT record: what a daemon says of itself, and what is believed of what others say. The
//! first seven keys are those of distcc 3.4; a stock client reads `cpus` and `jobs`.

use std::fmt::{self, Display, Formatter};
use std::mem;
use std::str::FromStr;

use super::escape;
use crate::base::node::NodeId;
use crate::fingerprint::inventory::DefaultCompiler;
use crate::fingerprint::{Family, Offered, Toolchain};

/// All strings together; above about 1240 bytes the record arrives late or, at first, empty.
pub(crate) const MAX_ADVERT: usize = 1200;
/// One string: its length is one byte (RFC 6763 6.1).
const MAX_STRING: usize = 255;
/// The original cuts `cc_version` and `cc_machine` there.
const MAX_VALUE: usize = 52;
/// Of a foreign record, no more is read.
const MAX_HEARD: usize = 1300;
/// Of a foreign record, no more keys are read.
const MAX_KEYS: usize = 32;
/// No host gets more jobs at once, whatever it says (the original believes 2147483647).
const MAX_JOBS: u16 = 256;
/// Of a foreign record, no more compilers or features are kept.
const MAX_LIST: usize = 64;
/// A DNS label (RFC 1035 2.3.4).
const MAX_LABEL: usize = 63;

/// What a daemon says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Advert {
    /// Stable over restarts.
    pub(crate) id: NodeId,
    /// Processors online, as the original counts them.
    pub(crate) cpus: u16,
    /// Processors that may be used (affinity, cgroup).
    pub(crate) cores: u16,
    /// Jobs at once.
    pub(crate) jobs: u16,
    /// Version of the program.
    pub(crate) distcc: String,
    /// The machine type the program was built for.
    pub(crate) gnuhost: String,
    /// `cc -dumpversion` and `cc -dumpmachine`, exactly as printed; none without a `cc`.
    pub(crate) cc: Option<DefaultCompiler>,
    /// What may be used with us without asking: `lzo`, `hello`.
    pub(crate) feat: Vec<String>,
    /// Every compiler offered, the default one first.
    pub(crate) compilers: Vec<TcEntry>,
}

impl DefaultCompiler {
    /// The sub-type's label as distcc 3.4 makes it: a stock client browses for this one only.
    /// None where it would not fit into a DNS label.
    pub(crate) fn subtype(&self) -> Option<String> {
        let plain = |text: &str| -> String {
            let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
            cut(text, MAX_VALUE).chars().map(|c| plain(c.to_ascii_lowercase())).collect()
        };
        let label = format!("_{}--{}", plain(&self.machine), plain(&self.version));
        (label.len() <= MAX_LABEL).then_some(label)
    }
}

/// One compiler in the keys `tc`, `tc2`, ...: `gcc:12.2.0:x86_64-linux-gnu:2.40:9c1f`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TcEntry {
    /// gcc, clang, or another program.
    pub(crate) family: Family,
    /// Full version.
    pub(crate) version: String,
    /// Target as the compiler prints it.
    pub(crate) target: String,
    /// Version of the external assembler, if one runs.
    pub(crate) assembler: Option<String>,
    /// The first bytes of the digest in hex: tells apart, proves nothing.
    pub(crate) digest: String,
}

impl From<&Toolchain> for TcEntry {
    fn from(toolchain: &Toolchain) -> Self {
        let [first, second, ..] = toolchain.digest;
        Self {
            family: toolchain.family.clone(),
            version: toolchain.version.clone(),
            target: toolchain.target.clone(),
            assembler: toolchain.assembler.clone(),
            digest: format!("{first:02x}{second:02x}"),
        }
    }
}

impl Display for TcEntry {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let assembler = self.assembler.as_deref().unwrap_or_default();
        write!(f, "{}:{}:{}:{assembler}:{}", self.family, self.version, self.target, self.digest)
    }
}

/// The text has not the five fields of a [`TcEntry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAnEntry;

impl FromStr for TcEntry {
    type Err = NotAnEntry;

    fn from_str(text: &str) -> Result<Self, NotAnEntry> {
        let fields: Vec<&str> = text.split(':').collect();
        let [family, version, target, assembler, digest] = fields[..] else {
            return Err(NotAnEntry);
        };
        if family.is_empty() {
            return Err(NotAnEntry);
        }
        Ok(Self {
            family: Family::from_name(family),
            version: version.to_owned(),
            target: target.to_owned(),
            assembler: (!assembler.is_empty()).then(|| assembler.to_owned()),
            digest: digest.to_owned(),
        })
    }
}

impl Advert {
    /// The same with these compilers, each toolchain once.
    pub(crate) fn with_compilers(mut self, offered: &[Offered]) -> Self {
        self.compilers.clear();
        for entry in offered.iter().map(|offered| TcEntry::from(&offered.toolchain)) {
            if !self.compilers.contains(&entry) {
                self.compilers.push(entry);
            }
        }
        self
    }

    fn first(&self, family: &Family) -> Option<&TcEntry> {
        self.compilers.iter().find(|entry| entry.family == *family)
    }
}

/// Keys and values of the record, at most [`MAX_ADVERT`] bytes; compilers that do not fit are left
/// to the hello.
pub(crate) fn encode(advert: &Advert) -> Vec<(String, String)> {
    let mut record = Record::default();
    record.add("txtvers", "1");
    record.add("cpus", &advert.cpus.to_string());
    record.add("jobs", &advert.jobs.to_string());
    record.add("distcc", &advert.distcc);
    record.add("gnuhost", &advert.gnuhost);
    if let Some(cc) = &advert.cc {
        record.add("cc_version", &cc.version);
        record.add("cc_machine", &cc.machine);
    }
    record.add("id", &advert.id.to_string());
    record.add("cores", &advert.cores.to_string());
    if let Some(gcc) = advert.first(&Family::Gcc) {
        record.add("gcc", &gcc.version);
        record.add("binutils", gcc.assembler.as_deref().unwrap_or_default());
    }
    if let Some(clang) = advert.first(&Family::Clang) {
        record.add("clang", &clang.version);
    }
    record.add("chost", advert.compilers.first().map_or("", |default| &default.target));
    record.add("feat", &advert.feat.join(","));
    record.add_compilers(&advert.compilers);
    record.pairs
}

/// A record in the making.
#[derive(Default)]
struct Record {
    pairs: Vec<(String, String)>,
    len: usize,
}

impl Record {
    fn add(&mut self, key: &str, value: &str) {
        let value = cut(value, MAX_VALUE);
        if !value.is_empty() {
            self.push(key.to_owned(), value.to_owned());
        }
    }

    fn push(&mut self, key: String, value: String) {
        self.len += string_len(&key, value.len());
        self.pairs.push((key, value));
    }

    fn add_compilers(&mut self, compilers: &[TcEntry]) {
        let mut key = "tc".to_owned();
        let mut n_strings = 1;
        let mut value = String::new();
        for entry in compilers.iter().map(TcEntry::to_string) {
            // A colon or semicolon inside a field cannot be said in this notation.
            if entry.matches(':').count() != 4 || entry.contains(';') {
                continue;
            }
            let joined = value.len() + usize::from(!value.is_empty()) + entry.len();
            if string_len(&key, joined) > MAX_STRING + 1 && !value.is_empty() {
                self.push(key, mem::take(&mut value));
                n_strings += 1;
                key = format!("tc{n_strings}");
            }
            let joined = value.len() + usize::from(!value.is_empty()) + entry.len();
            let len = string_len(&key, joined);
            if len > MAX_STRING + 1 || self.len + len > MAX_ADVERT {
                break;
            }
            if !value.is_empty() {
                value.push(';');
            }
            value.push_str(&entry);
        }
        if !value.is_empty() {
            self.push(key, value);
        }
    }
}

/// Bytes of a string in the record: length, key, `=`, value.
fn string_len(key: &str, value_len: usize) -> usize {
    1 + key.len() + 1 + value_len
}

fn cut(text: &str, len: usize) -> &str {
    &text[..text.floor_char_boundary(len)]
}

/// What another host says of itself: bounded and escaped, not believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeardTxt {
    /// The record had no key at all: it has not arrived yet. It never means that the host does not
    /// say.
    pub(crate) empty: bool,
    /// Ours alone say it.
    pub(crate) id: Option<NodeId>,
    /// Processors online.
    pub(crate) cpus: Option<u16>,
    /// Usable processors.
    pub(crate) cores: Option<u16>,
    /// Jobs at once, between 1 and 256. As in the original, `cpus` + 2 if the record says 0 or
    /// less.
    pub(crate) jobs: Option<u16>,
    /// Version of the program.
    pub(crate) distcc: String,
    /// Machine type the program was built for.
    pub(crate) gnuhost: String,
    /// `cc -dumpversion`.
    pub(crate) cc_version: String,
    /// `cc -dumpmachine`.
    pub(crate) cc_machine: String,
    /// Full version of the gcc offered first.
    pub(crate) gcc: String,
    /// Full version of the clang offered first.
    pub(crate) clang: String,
    /// Version of the assembler of that gcc.
    pub(crate) binutils: String,
    /// Target of the default compiler.
    pub(crate) chost: String,
    /// What may be used without asking.
    pub(crate) feat: Vec<String>,
    /// The compilers that fitted into the record.
    pub(crate) compilers: Vec<TcEntry>,
}

/// Reads a record of another host. Of a key that stands twice, the first counts (RFC 6763 6.4);
/// keys have no case.
pub(crate) fn decode<K: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(K, V)]) -> HeardTxt {
    let mut heard = HeardTxt { empty: pairs.is_empty(), ..HeardTxt::default() };
    let mut jobs = None;
    let mut tc: Vec<(u16, String)> = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    let mut len = 0;
    for (key, value) in pairs.iter().take(MAX_KEYS) {
        let (key, value) = (key.as_ref(), value.as_ref());
        len += 1 + key.len() + 1 + value.len();
        if len > MAX_HEARD {
            break;
        }
        let key = escape(&key.to_ascii_lowercase());
        if seen.contains(&key) {
            continue;
        }
        let value = escape(value);
        match key.as_str() {
            "id" => heard.id = value.parse().ok(),
            "cpus" => heard.cpus = count(&value),
            "cores" => heard.cores = count(&value),
            "jobs" => jobs = value.trim().parse::<i64>().ok(),
            "distcc" => heard.distcc = value,
            "gnuhost" => heard.gnuhost = value,
            "cc_version" => heard.cc_version = value,
            "cc_machine" => heard.cc_machine = value,
            "gcc" => heard.gcc = value,
            "clang" => heard.clang = value,
            "binutils" => heard.binutils = value,
            "chost" => heard.chost = value,
            "feat" => {
                let words = value.split(',').filter(|word| !word.is_empty());
                heard.feat = words.take(MAX_LIST).map(str::to_owned).collect();
            }
            other => {
                if let Some(number) = tc_number(other) {
                    tc.push((number, value));
                }
            }
        }
        seen.push(key);
    }
    heard.jobs = jobs.map(|jobs| jobs_at_once(jobs, heard.cpus));
    tc.sort();
    let entries = tc.iter().flat_map(|(_, value)| value.split(';'));
    heard.compilers = entries.take(MAX_LIST).filter_map(|entry| entry.parse().ok()).collect();
    heard
}

/// A number of processors: 1 to 65535, more is cut.
fn count(value: &str) -> Option<u16> {
    let count = value.trim().parse::<u64>().ok().filter(|count| *count > 0)?;
    Some(u16::try_from(count).unwrap_or(u16::MAX))
}

fn jobs_at_once(said: i64, cpus: Option<u16>) -> u16 {
    let jobs = if said > 0 { said } else { i64::from(cpus.unwrap_or(1)) + 2 };
    u16::try_from(jobs).map_or(MAX_JOBS, |jobs| jobs.clamp(1, MAX_JOBS))
}

/// 1 for `tc`, 2 for `tc2`, and so on.
fn tc_number(key: &str) -> Option<u16> {
    match key.strip_prefix("tc")? {
        "" => Some(1),
        digits => digits.parse().ok().filter(|number| *number > 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(number: usize) -> TcEntry {
        TcEntry {
            family: if number.is_multiple_of(2) { Family::Gcc } else { Family::Clang },
            version: format!("{}.2.0", 10 + number),
            target: "x86_64-linux-gnu".to_owned(),
            assembler: number.is_multiple_of(2).then(|| "2.40".to_owned()),
            digest: format!("{number:04x}"),
        }
    }

    fn advert(n_compilers: usize) -> Advert {
        Advert {
            id: NodeId(0x7f3a_91c2),
            cpus: 16,
            cores: 8,
            jobs: 18,
            distcc: "0.1.0".to_owned(),
            gnuhost: "x86_64-unknown-linux-gnu".to_owned(),
            cc: Some(DefaultCompiler {
                version: "12".to_owned(),
                machine: "x86_64-linux-gnu".to_owned(),
            }),
            feat: vec!["lzo".to_owned(), "hello".to_owned()],
            compilers: (0..n_compilers).map(entry).collect(),
        }
    }

    fn total(pairs: &[(String, String)]) -> usize {
        pairs.iter().map(|(key, value)| string_len(key, value.len())).sum()
    }

    #[test]
    fn twelve_compilers_fit_and_come_back() {
        let pairs = encode(&advert(12));
        assert!(total(&pairs) <= MAX_ADVERT);
        assert!(pairs.iter().all(|(key, value)| key.len() + 1 + value.len() <= MAX_STRING));
        let heard = decode(&pairs);
        assert_eq!(heard.compilers, advert(12).compilers);
        assert_eq!(heard.id, Some(NodeId(0x7f3a_91c2)));
        assert_eq!((heard.cpus, heard.cores, heard.jobs), (Some(16), Some(8), Some(18)));
        assert_eq!((heard.gcc.as_str(), heard.binutils.as_str()), ("10.2.0", "2.40"));
        assert_eq!((heard.clang.as_str(), heard.chost.as_str()), ("11.2.0", "x86_64-linux-gnu"));
        assert_eq!((heard.cc_version.as_str(), heard.feat.join(" ")), ("12", "lzo hello".into()));
    }

    #[test]
    fn strings_are_numbered_from_two() {
        let keys: Vec<String> = encode(&advert(14)).into_iter().map(|(key, _)| key).collect();
        let tc: Vec<&String> =
            keys.iter().filter(|key| key.starts_with("tc") && key.len() < 5).collect();
        assert_eq!(tc, ["tc", "tc2", "tc3"]);
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let pairs = encode(&advert(200));
        assert!(total(&pairs) <= MAX_ADVERT);
        let heard = decode(&pairs);
        assert!(heard.compilers.len() > 12);
        assert_eq!(heard.compilers[..], advert(200).compilers[..heard.compilers.len()]);
        let mut long = advert(0);
        long.distcc = "9".repeat(5000);
        long.feat = vec!["f".repeat(5000)];
        long.compilers = vec![TcEntry { version: "1".repeat(5000), ..entry(0) }];
        assert!(total(&encode(&long)) <= MAX_ADVERT);
    }

    #[test]
    fn subtype_is_that_of_the_original() {
        let cc = |machine: &str, version: &str| DefaultCompiler {
            version: version.to_owned(),
            machine: machine.to_owned(),
        };
        let cases = [
            (cc("x86_64-linux-gnu", "12"), Some("_x86-64-linux-gnu--12")),
            (cc("arm64-Apple.Darwin", "14.0.6"), Some("_arm64-apple-darwin--14-0-6")),
        ];
        for (cc, label) in cases {
            assert_eq!(cc.subtype().as_deref(), label);
        }
        assert_eq!(cc(&"m".repeat(52), &"1".repeat(20)).subtype(), None);
    }

    #[test]
    fn stock_record_is_understood() {
        let heard = decode(&[
            ("txtvers", "1"),
            ("cpus", "2"),
            ("distcc", "3.4"),
            ("jobs", "4"),
            ("cc_version", "12"),
        ]);
        assert_eq!((heard.empty, heard.id, heard.jobs), (false, None, Some(4)));
        assert_eq!(heard.distcc, "3.4");
        assert!(decode::<&str, &str>(&[]).empty);
    }

    #[test]
    fn hostile_numbers_are_clamped() {
        let cases: [(&str, Option<u16>); 8] = [
            ("99999", Some(256)),
            ("9223372036854775807", Some(256)),
            ("0", Some(6)),
            ("-1\n", Some(6)),
            ("-9223372036854775808", Some(6)),
            ("4", Some(4)),
            ("", None),
            ("99999999999999999999999", None),
        ];
        for (jobs, expected) in cases {
            // A newline is escaped before the number is read, so that value is no number.
            let expected = if jobs.contains('\n') { None } else { expected };
            assert_eq!(decode(&[("cpus", "4"), ("jobs", jobs)]).jobs, expected, "{jobs:?}");
        }
        assert_eq!(decode(&[("cpus", "0")]).cpus, None);
        assert_eq!(decode(&[("cores", "70000")]).cores, Some(u16::MAX));
        assert_eq!(decode(&[("id", "7f3a91c")]).id, None);
    }

    #[test]
    fn first_of_two_keys_counts_whatever_its_case() {
        let heard = decode(&[("JOBS", "3"), ("jobs", "200"), ("id", "x"), ("id", "00000001")]);
        assert_eq!((heard.jobs, heard.id), (Some(3), None));
    }

    #[test]
    fn nothing_is_read_beyond_the_bounds() {
        let mut pairs: Vec<(String, String)> =
            (0..MAX_KEYS).map(|number| (format!("k{number}"), String::new())).collect();
        pairs.push(("jobs".into(), "7".into()));
        assert_eq!(decode(&pairs).jobs, None);
        let long = [("a", "x".repeat(1300)), ("jobs", "7".to_owned())];
        assert_eq!(decode(&long).jobs, None);
        let many = [("tc", "gcc:1:t:2:aa;".repeat(90))];
        assert!(decode(&many).compilers.len() <= MAX_LIST);
    }

    proptest! {
        #[test]
        fn any_record_gives_safe_text(
            pairs in proptest::collection::vec(
                (proptest::sample::select(vec!["gcc", "tc", "tc2", "feat", "distcc", "jobs", "\u{e9}"]),
                 proptest::collection::vec(any::<u8>(), 0..255)), 0..40),
        ) {
            let heard = decode(&pairs);
            let text = format!("{heard:?}");
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert!(heard.jobs.is_none_or(|jobs| (1..=256).contains(&jobs)));
        }
    }
}
