//! For which machine an object is: the header of an ELF file against the target of the compiler
//! that should have made it. Pure. Where options may change class or byte order in ways not known
//! here, that part is not compared; a target that is not known here is not compared at all.

use std::fmt::{self, Display, Formatter};

use super::ident::is_elf;

/// What an ELF header says of the machine: `EI_CLASS`, `EI_DATA`, `e_machine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    wide: bool,
    big_endian: bool,
    machine: u16,
}

/// What a target's objects say there; none where it may be either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Expected {
    machines: &'static [u16],
    wide: Option<bool>,
    big_endian: Option<bool>,
}

/// An object that is none for the target. `Display` says what it is, after "it is".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign(Option<Header>);

impl Display for Foreign {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(header) = self.0 else { return f.write_str("of another format") };
        let bits = if header.wide { 64 } else { 32 };
        let order = if header.big_endian { "big" } else { "little" };
        match MACHINES.iter().find(|(_, machine, ..)| machine.first() == Some(&header.machine)) {
            Some((name, ..)) => write!(f, "for {name}")?,
            None => write!(f, "for machine {}", header.machine)?,
        }
        write!(f, " ({bits}-bit, {order}-endian)")
    }
}

/// The object is not for `target`, as `options` modify it.
pub(crate) fn check(target: &str, options: &[Vec<u8>], object: &[u8]) -> Result<(), Foreign> {
    let named = options.iter().rev().find_map(|word| word.strip_prefix(b"--target="));
    let named = named.map(String::from_utf8_lossy);
    let target = named.as_deref().unwrap_or(target);
    let Some(expected) = Expected::of(target, options) else { return Ok(()) };
    // clang's bitcode, which becomes machine code when it is linked.
    let is_bitcode = options.iter().any(|word| word.starts_with(b"-flto"));
    if is_bitcode && !is_elf(object) {
        return Ok(());
    }
    let header = Header::read(object).ok_or(Foreign(None))?;
    let fits = expected.machines.contains(&header.machine)
        && expected.wide.is_none_or(|wide| wide == header.wide)
        && expected.big_endian.is_none_or(|big| big == header.big_endian);
    if fits { Ok(()) } else { Err(Foreign(Some(header))) }
}

impl Header {
    fn read(object: &[u8]) -> Option<Self> {
        let &[0x7f, b'E', b'L', b'F', class @ (1 | 2), order @ (1 | 2), ..] = object else {
            return None;
        };
        let machine: [u8; 2] = object.get(18..20)?.try_into().ok()?;
        let big_endian = order == 2;
        let machine =
            if big_endian { u16::from_be_bytes(machine) } else { u16::from_le_bytes(machine) };
        Some(Self { wide: class == 2, big_endian, machine })
    }
}

const X86: &[u16] = &[3];
const X86_64: &[u16] = &[62];

type Row = (&'static str, &'static [u16], Option<bool>, Option<bool>);

/// First words of targets, their `e_machine` (System V gABI and its registry), class and order.
const MACHINES: [Row; 34] = [
    ("x86_64", X86_64, Some(true), Some(false)),
    ("amd64", X86_64, Some(true), Some(false)),
    ("i386", X86, Some(false), Some(false)),
    ("i486", X86, Some(false), Some(false)),
    ("i586", X86, Some(false), Some(false)),
    ("i686", X86, Some(false), Some(false)),
    ("aarch64", &[183], Some(true), Some(false)),
    ("arm64", &[183], Some(true), Some(false)),
    ("aarch64_be", &[183], Some(true), Some(true)),
    ("arm", &[40], Some(false), Some(false)),
    ("armeb", &[40], Some(false), Some(true)),
    ("riscv64", &[243], Some(true), Some(false)),
    ("riscv32", &[243], Some(false), Some(false)),
    ("powerpc", &[20, 21], None, None),
    ("powerpc64", &[21, 20], None, None),
    ("powerpcle", &[20, 21], None, None),
    ("powerpc64le", &[21, 20], None, None),
    ("ppc64le", &[21, 20], None, None),
    ("s390", &[22], None, Some(true)),
    ("s390x", &[22], None, Some(true)),
    ("mips", &[8], None, None),
    ("mipsel", &[8], None, None),
    ("mips64", &[8], None, None),
    ("mips64el", &[8], None, None),
    ("sparc", &[2, 18, 43], None, Some(true)),
    ("sparc64", &[43, 2, 18], None, Some(true)),
    ("loongarch64", &[258], Some(true), Some(false)),
    ("alpha", &[0x9026], Some(true), Some(false)),
    ("ia64", &[50], None, None),
    ("hppa", &[15], None, Some(true)),
    ("m68k", &[4], Some(false), Some(true)),
    ("sh4", &[42], Some(false), Some(false)),
    ("avr", &[83], Some(false), Some(false)),
    ("xtensa", &[94], Some(false), None),
];

impl Expected {
    fn of(target: &str, options: &[Vec<u8>]) -> Option<Self> {
        let (arch, system) = target.split_once('-')?;
        if !writes_elf(arch, system) {
            return None;
        }
        let known = MACHINES.iter().find(|(name, ..)| *name == arch);
        // `armv7l`, `armv8b`: the version decides nothing but the order.
        let by_version =
            || arch.starts_with("armv").then(|| MACHINES.iter().find(|m| m.0 == "arm"));
        let &(_, machines, wide, big_endian) = known.or_else(|| by_version().flatten())?;
        let mut expected = Self { machines, wide, big_endian };
        if arch.starts_with("armv") {
            expected.big_endian = None;
        }
        if system.ends_with("x32") {
            expected.wide = Some(false);
        }
        options.iter().for_each(|word| expected.modify(word));
        Some(expected)
    }

    fn modify(&mut self, option: &[u8]) {
        let is_x86 = self.machines == X86 || self.machines == X86_64;
        match option {
            b"-m32" | b"-m16" | b"-miamcu" if is_x86 => {
                (self.machines, self.wide) = (X86, Some(false));
            }
            b"-mx32" if is_x86 => (self.machines, self.wide) = (X86_64, Some(false)),
            b"-m64" if is_x86 => (self.machines, self.wide) = (X86_64, Some(true)),
            _ if is_x86 => {}
            b"-m31" | b"-m32" | b"-m64" => self.wide = None,
            b"-EB" | b"-EL" | b"-meb" | b"-mel" | b"-mb" | b"-ml" => self.big_endian = None,
            _ if option.starts_with(b"-mbig") || option.starts_with(b"-mlittle") => {
                self.big_endian = None;
            }
            // RISC-V's and MIPS's ABIs have their widths, and so have their architectures.
            _ if option.starts_with(b"-mabi=") || option.starts_with(b"-march=") => {
                self.wide = None
            }
            _ => {}
        }
    }
}

/// Those of other systems are COFF, Mach-O or WebAssembly.
fn writes_elf(arch: &str, system: &str) -> bool {
    const OTHERS: [&str; 12] = [
        "mingw", "windows", "win32", "cygwin", "msvc", "uefi", "darwin", "macos", "ios", "apple",
        "aix", "wasi",
    ];
    const ELF: [&str; 8] = ["linux", "bsd", "elf", "eabi", "gnu", "none", "solaris", "android"];
    // A system of an object file format of its own may run GNU programs.
    !OTHERS.iter().any(|other| system.contains(other))
        && (ELF.iter().any(|known| system.contains(known)) || arch == "avr")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(wide: bool, big_endian: bool, machine: u16) -> Vec<u8> {
        let mut object = b"\x7fELF".to_vec();
        object.extend([1 + u8::from(wide), 1 + u8::from(big_endian)]);
        object.resize(16, 0);
        let order = |n: u16| if big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
        object.extend([order(1), order(machine)].concat());
        object
    }

    fn words(text: &str) -> Vec<Vec<u8>> {
        text.split_whitespace().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn objects_of_the_target_pass_and_others_do_not() {
        let amd64 = object(true, false, 62);
        let x32 = object(false, false, 62);
        let i386 = object(false, false, 3);
        let arm64 = object(true, false, 183);
        let arm = object(false, false, 40);
        let ppc64 = object(true, true, 21);
        let ppc64le = object(true, false, 21);
        let riscv32 = object(false, false, 243);
        let bitcode = b"BC\xc0\xde and more".to_vec();
        for (target, options, object, fits) in [
            ("x86_64-linux-gnu", "", &amd64, true),
            ("x86_64-pc-linux-gnu", "-O2", &arm64, false),
            ("x86_64-linux-gnu", "", &i386, false),
            ("x86_64-linux-gnu", "-m32", &i386, true),
            ("x86_64-linux-gnu", "-m32", &amd64, false),
            ("x86_64-linux-gnu", "-m32 -m64", &amd64, true),
            ("x86_64-linux-gnu", "-mx32", &x32, true),
            ("x86_64-linux-gnux32", "", &x32, true),
            ("x86_64-linux-gnu", "", &x32, false),
            ("i686-linux-gnu", "", &i386, true),
            ("i686-linux-gnu", "-m64", &amd64, true),
            ("x86_64-linux-gnu", "--target=aarch64-linux-gnu", &arm64, true),
            ("x86_64-linux-gnu", "--target=aarch64-linux-gnu", &amd64, false),
            ("x86_64-linux-gnu", "", &bitcode, false),
            ("x86_64-linux-gnu", "-flto=thin", &bitcode, true),
            ("x86_64-linux-gnu", "-flto", &arm64, false),
            ("aarch64-linux-gnu", "", &arm64, true),
            ("aarch64-linux-gnu", "", &arm, false),
            ("arm-none-eabi", "-mcpu=cortex-m4 -mthumb", &arm, true),
            ("armv7l-unknown-linux-gnueabihf", "", &arm, true),
            ("arm-none-eabi", "-mbig-endian", &object(false, true, 40), true),
            ("arm-none-eabi", "", &object(false, true, 40), false),
            ("powerpc64le-linux-gnu", "", &ppc64le, true),
            ("powerpc64le-linux-gnu", "-mbig-endian", &ppc64, true),
            ("powerpc64le-linux-gnu", "", &amd64, false),
            ("riscv64-unknown-elf", "-march=rv32i -mabi=ilp32", &riscv32, true),
            ("riscv64-unknown-elf", "", &riscv32, false),
            // Not compared.
            ("x86_64-w64-mingw32", "", &bitcode, true),
            ("x86_64-apple-darwin", "", &arm64, true),
            ("wasm32-wasi", "", &bitcode, true),
            ("vax-linux-gnu", "", &arm64, true),
            ("", "", &bitcode, true),
        ] {
            let checked = check(target, &words(options), object);
            assert_eq!(checked.is_ok(), fits, "{target} {options}: {checked:?}");
        }
    }

    #[test]
    fn says_what_it_is() {
        let said = |object: &[u8]| check("x86_64-linux-gnu", &[], object).unwrap_err().to_string();
        assert_eq!(said(&object(true, false, 183)), "for aarch64 (64-bit, little-endian)");
        assert_eq!(said(&object(false, true, 9)), "for machine 9 (32-bit, big-endian)");
        assert_eq!(said(b""), "of another format");
        assert_eq!(said(b"\x7fELF\x02\x01\x01"), "of another format");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(object in proptest::collection::vec(0_u8.., 0..30), target in "[a-z0-9_-]{0,20}") {
            let _ = check(&target, &[], &object);
            let _ = check("x86_64-linux-gnu", &[], &[b"\x7fELF", object.as_slice()].concat());
        }
    }
}
