//! The `.comment` section of an ELF object: which compiler wrote it. Pure; the object may come from
//! the network, so every offset is checked.
//!
//! Layout: System V ABI, "Object Files" (gABI 4.1), with its rule for more than 0xff00 sections,
//! which C++ with `-ffunction-sections` does reach.

use std::fmt::{self, Display, Formatter};

/// No compiler writes more; one string of gcc is some 40 bytes.
pub(crate) const MAX_COMMENT: u64 = 64 << 10;

/// `SHT_NOBITS`: the section occupies no bytes of the file.
const SHT_NOBITS: u32 = 8;
/// `SHF_COMPRESSED`.
const SHF_COMPRESSED: u64 = 0x800;
/// `SHN_XINDEX`: the real index of the name table is in `sh_link` of section 0.
const SHN_XINDEX: u16 = 0xffff;

/// Why the comment of an object cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ElfError {
    /// It does not begin as an ELF file of a class and byte order that exist.
    NotElf,
    /// Something lies beyond the end of the file.
    Truncated {
        /// What was to be read.
        what: &'static str,
        /// Where in the file.
        at: u64,
    },
    /// Section headers of a size that the class does not have.
    BadHeaderSize {
        /// `e_shentsize`.
        size: u16,
    },
    /// A comment that no compiler writes.
    CommentTooLong {
        /// Bytes in all comment sections.
        len: u64,
        /// [`MAX_COMMENT`].
        limit: u64,
    },
    /// A compressed comment section, which no assembler writes.
    Compressed,
}

impl Display for ElfError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => f.write_str("not an ELF file"),
            Self::Truncated { what, at } => write!(f, "{what} at {at} lies beyond the end"),
            Self::BadHeaderSize { size } => write!(f, "section headers of {size} bytes"),
            Self::CommentTooLong { len, limit } => {
                write!(f, "a comment of {len} bytes, more than {limit}")
            }
            Self::Compressed => f.write_str("a compressed comment section"),
        }
    }
}

impl std::error::Error for ElfError {}

/// The strings of `.comment`, in file order, without empty ones; none if there is no such section.
pub(crate) fn comments(object: &[u8]) -> Result<Vec<String>, ElfError> {
    let elf = Elf::new(object)?;
    let Some(table) = elf.section_table()? else { return Ok(Vec::new()) };
    let names = elf.section(&table, table.names)?;
    let mut strings = Vec::new();
    let mut total = 0;
    for index in 1..table.count {
        let section = elf.section(&table, index)?;
        if section.kind == SHT_NOBITS || !elf.is_called(&names, section.name, b".comment\0") {
            continue;
        }
        if section.flags & SHF_COMPRESSED != 0 {
            return Err(ElfError::Compressed);
        }
        total += section.size.min(MAX_COMMENT + 1);
        if total > MAX_COMMENT {
            return Err(ElfError::CommentTooLong { len: section.size, limit: MAX_COMMENT });
        }
        let content = elf.slice(section.offset, section.size, "the comment")?;
        strings.extend(
            content
                .split(|byte| *byte == 0)
                .filter(|string| !string.is_empty())
                .map(|string| String::from_utf8_lossy(string).into_owned()),
        );
    }
    Ok(strings)
}

/// Does it begin with ELF's magic number?
pub(crate) fn is_elf(object: &[u8]) -> bool {
    object.starts_with(b"\x7fELF")
}

struct Elf<'a> {
    bytes: &'a [u8],
    wide: bool,
    big_endian: bool,
}

/// Where the section headers are.
struct SectionTable {
    offset: u64,
    count: u64,
    /// Index of the section that holds the names.
    names: u64,
}

struct Section {
    name: u32,
    kind: u32,
    flags: u64,
    offset: u64,
    size: u64,
    link: u32,
}

impl<'a> Elf<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, ElfError> {
        let (wide, big_endian) = match bytes {
            [0x7f, b'E', b'L', b'F', class @ (1 | 2), order @ (1 | 2), ..] => {
                (*class == 2, *order == 2)
            }
            _ => return Err(ElfError::NotElf),
        };
        Ok(Self { bytes, wide, big_endian })
    }

    /// None where the file has no sections at all.
    fn section_table(&self) -> Result<Option<SectionTable>, ElfError> {
        let what = "the file header";
        let [offset_at, size_at, count_at, names_at] =
            if self.wide { [40, 58, 60, 62] } else { [32, 46, 48, 50] };
        let offset = self.address(offset_at, what)?;
        if offset == 0 {
            return Ok(None);
        }
        let size = self.half(size_at, what)?;
        if u64::from(size) != self.header_size() {
            return Err(ElfError::BadHeaderSize { size });
        }
        let count = self.half(count_at, what)?;
        let names = self.half(names_at, what)?;
        let mut table = SectionTable { offset, count: u64::from(count), names: u64::from(names) };
        if count == 0 || names == SHN_XINDEX {
            let first = self.section(&table, 0)?;
            if count == 0 {
                table.count = first.size;
            }
            if names == SHN_XINDEX {
                table.names = u64::from(first.link);
            }
        }
        // One check for the whole table, so that a hostile count costs no loop.
        let len = table.count.checked_mul(self.header_size());
        let len = len.ok_or(ElfError::Truncated { what: "the section headers", at: offset })?;
        self.slice(offset, len, "the section headers")?;
        Ok(Some(table))
    }

    const fn header_size(&self) -> u64 {
        if self.wide { 64 } else { 40 }
    }

    fn section(&self, table: &SectionTable, index: u64) -> Result<Section, ElfError> {
        let what = "a section header";
        let at = index
            .checked_mul(self.header_size())
            .and_then(|distance| distance.checked_add(table.offset))
            .ok_or(ElfError::Truncated { what, at: table.offset })?;
        self.slice(at, self.header_size(), what)?;
        let [flags, offset, size, link] = if self.wide { [8, 24, 32, 40] } else { [8, 16, 20, 24] };
        Ok(Section {
            name: self.word(at, what)?,
            kind: self.word(at + 4, what)?,
            flags: self.address(at + flags, what)?,
            offset: self.address(at + offset, what)?,
            size: self.address(at + size, what)?,
            link: self.word(at + link, what)?,
        })
    }

    /// A name that lies outside its table is another name, not an error: the file may still link.
    fn is_called(&self, names: &Section, name: u32, wanted: &[u8]) -> bool {
        let name = u64::from(name);
        if name.checked_add(wanted.len() as u64).is_none_or(|end| end > names.size) {
            return false;
        }
        names
            .offset
            .checked_add(name)
            .and_then(|at| self.slice(at, wanted.len() as u64, "a section name").ok())
            .is_some_and(|found| found == wanted)
    }

    fn slice(&self, at: u64, len: u64, what: &'static str) -> Result<&'a [u8], ElfError> {
        let range = usize::try_from(at)
            .ok()
            .zip(at.checked_add(len))
            .and_then(|(start, end)| self.bytes.get(start..usize::try_from(end).ok()?));
        range.ok_or(ElfError::Truncated { what, at })
    }

    fn half(&self, at: u64, what: &'static str) -> Result<u16, ElfError> {
        let bytes = self.array(at, what)?;
        Ok(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn word(&self, at: u64, what: &'static str) -> Result<u32, ElfError> {
        let bytes = self.array(at, what)?;
        Ok(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// A field as wide as the class.
    fn address(&self, at: u64, what: &'static str) -> Result<u64, ElfError> {
        if !self.wide {
            return self.word(at, what).map(u64::from);
        }
        let bytes = self.array(at, what)?;
        Ok(if self.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    fn array<const N: usize>(&self, at: u64, what: &'static str) -> Result<[u8; N], ElfError> {
        let slice = self.slice(at, N as u64, what)?;
        slice.try_into().map_err(|_| ElfError::Truncated { what, at })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An object with a name table and a comment section, of either class and byte order.
    fn handmade(wide: bool, big_endian: bool, comment: &[u8], extended: bool) -> Vec<u8> {
        let order = |bytes: &[u8]| -> Vec<u8> {
            let mut bytes = bytes.to_vec();
            if big_endian {
                bytes.reverse();
            }
            bytes
        };
        let half = |value: u16| order(&value.to_le_bytes());
        let word = |value: u32| order(&value.to_le_bytes());
        let address = |value: u64| {
            if wide { order(&value.to_le_bytes()) } else { word(u32::try_from(value).unwrap()) }
        };
        let names = b"\0.shstrtab\0.comment\0";
        let header_len = if wide { 64 } else { 52 };
        let comment_at = header_len + names.len() as u64;
        let table_at = comment_at + comment.len() as u64;

        let mut file = b"\x7fELF".to_vec();
        file.extend([if wide { 2 } else { 1 }, if big_endian { 2 } else { 1 }, 1]);
        file.resize(16, 0);
        file.extend(half(1));
        file.extend(half(21));
        file.extend(word(1));
        file.extend(address(0));
        file.extend(address(0));
        file.extend(address(table_at));
        file.extend(word(0));
        file.extend(half(u16::try_from(header_len).unwrap()));
        file.extend([half(0), half(0)].concat());
        file.extend(half(if wide { 64 } else { 40 }));
        file.extend(half(if extended { 0 } else { 3 }));
        file.extend(half(if extended { SHN_XINDEX } else { 1 }));
        assert_eq!(file.len() as u64, header_len);
        file.extend(names);
        file.extend(comment);
        let mut section = |name: u32, offset: u64, size: u64, link: u32| {
            let mut header = word(name);
            header.extend(word(1));
            header.extend([address(0), address(0)].concat());
            header.extend(address(offset));
            header.extend(address(size));
            header.extend([word(link), word(0)].concat());
            header.extend([address(0), address(0)].concat());
            file.extend(header);
        };
        let (count, names_index) = if extended { (3, 1) } else { (0, 0) };
        section(0, 0, count, names_index);
        section(1, header_len, names.len() as u64, 0);
        section(11, comment_at, comment.len() as u64, 0);
        file
    }

    #[test]
    fn reads_either_class_and_byte_order() {
        for (wide, big_endian, extended) in
            [(true, false), (true, true), (false, false), (false, true)]
                .into_iter()
                .flat_map(|(wide, big)| [(wide, big, false), (wide, big, true)])
        {
            let object = handmade(wide, big_endian, b"\0GCC: (X) 1\0\0clang 2\0", extended);
            assert_eq!(comments(&object), Ok(vec!["GCC: (X) 1".into(), "clang 2".into()]));
        }
    }

    #[test]
    fn refuses_what_is_no_elf_file() {
        for bytes in [&b""[..], b"\x7fELF", b"\x7fELF\x03\x01", b"#!/bin/sh\n", b"\x7fELF\x02\x03"]
        {
            assert_eq!(comments(bytes), Err(ElfError::NotElf));
        }
        assert!(is_elf(b"\x7fELF\x02"));
        assert!(!is_elf(b"BC\xc0\xde"));
    }

    #[test]
    fn has_no_comment_without_sections() {
        let mut object = handmade(true, false, b"x", false);
        object[40..48].fill(0);
        assert_eq!(comments(&object), Ok(Vec::new()));
    }

    #[test]
    fn refuses_a_comment_beyond_the_limit() {
        let long = vec![b'a'; usize::try_from(MAX_COMMENT).unwrap() + 1];
        let object = handmade(true, false, &long, false);
        let limit = MAX_COMMENT;
        assert_eq!(comments(&object), Err(ElfError::CommentTooLong { len: limit + 1, limit }));
    }

    #[test]
    fn refuses_every_truncation() {
        for wide in [true, false] {
            let object = handmade(wide, true, b"GCC: (X) 1\0", false);
            for len in 0..object.len() {
                assert!(comments(&object[..len]).is_err(), "{len} bytes of {}", object.len());
            }
        }
    }

    #[test]
    fn refuses_headers_of_a_foreign_size_and_counts_that_overflow() {
        let mut object = handmade(true, false, b"x\0", true);
        object[58] = 40;
        assert_eq!(comments(&object), Err(ElfError::BadHeaderSize { size: 40 }));
        let mut object = handmade(true, false, b"x\0", true);
        let table =
            usize::try_from(u64::from_le_bytes(object[40..48].try_into().unwrap())).unwrap();
        object[table + 32..table + 40].fill(0xff);
        assert!(matches!(comments(&object), Err(ElfError::Truncated { .. })));
    }

    /// Real objects, whole and cut anywhere.
    #[test]
    #[cfg(feature = "daemon")]
    fn reads_objects_of_real_compilers() {
        use std::process::Command;

        for (compiler, option, class, mark) in [
            ("gcc-12", "-m64", 2, "GCC: ("),
            ("gcc-12", "-m32", 1, "GCC: ("),
            ("clang-14", "-m64", 2, "clang version 14."),
            ("clang-14", "--target=powerpc64-linux-gnu", 2, "clang version 14."),
            ("clang-14", "--target=mips-linux-gnu", 1, "clang version 14."),
        ] {
            if !cfg!(target_arch = "x86_64") {
                return super::super::testing::skip("these options are for an x86_64 compiler");
            }
            let Some(path) = super::super::testing::installed(compiler) else { continue };
            let dir = tempfile::tempdir().unwrap();
            let object = dir.path().join("x.o");
            let command = [option, "-g", "-c", "-x", "cpp-output", "/dev/null", "-o"];
            let status = Command::new(path).args(command).arg(&object).status().unwrap();
            assert!(status.success(), "{compiler} {option}");
            let object = std::fs::read(object).unwrap();
            assert_eq!(object[4], class, "{compiler} {option}");
            let found = comments(&object).unwrap();
            assert!(found.len() == 1 && found[0].contains(mark), "{found:?}");
            for len in 0..object.len() {
                let _ = comments(&object[..len]);
            }
        }
    }

    proptest! {
        #[test]
        fn never_panics_on_mutated_objects(
            wide: bool,
            big_endian: bool,
            extended: bool,
            cut in 0usize..400,
            changes in prop::collection::vec((0usize..400, any::<u8>()), 0..8),
        ) {
            let mut object = handmade(wide, big_endian, b"GCC: (X) 1\0", extended);
            for (at, value) in changes {
                if let Some(byte) = object.get_mut(at) {
                    *byte = value;
                }
            }
            object.truncate(cut);
            let _ = comments(&object);
        }
    }
}
