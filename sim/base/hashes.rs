//! Hashes, one for each purpose; their values are part of results and never change.
//!
//! | purpose | hash |
//! |---|---|
//! | names of random streams, digests of files, fingerprints of inputs | [`fnv1a`]: published, stable, a line |
//! | buckets of things that are then compared | [`fnv1a_word`]: eight bytes at once |
//! | lines of a journal that were torn or altered | [`crc32`]: finds every burst of up to 32 bits |
//! | a choice among equals by a pair of numbers | [`splitmix64`]: each bit depends on all |
//! | shapes in an order or in parts that no pattern of shapes shows in | [`scatter_key`], [`scatter_part`] |
//! | inputs of kernels, computed on a GPU too | [`lowbias32`]: 32-bit words alone |
//!
//! `std`'s hash may differ between releases. None of these withstands someone who forges inputs; nothing here
//! needs that.

/// The 64-bit FNV-1a hash [fnv]: stable across platforms and releases, which `std`'s is not.
#[must_use]
pub fn fnv1a(bytes: &[u8]) -> u64 {
    fnv1a_on(FNV_START, bytes)
}

/// The same, going on from a hash.
#[must_use]
pub fn fnv1a_on(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| fnv1a_word(hash, byte.into()))
}

/// One step of FNV-1a with a word in place of a byte, going on from a hash.
#[must_use]
pub const fn fnv1a_word(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0x100_0000_01b3)
}

/// What FNV-1a begins with.
pub const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// Folds some bytes and their end into a hash; zero starts afresh.
#[must_use]
pub fn fold_bytes(hash: u64, bytes: &[u8]) -> u64 {
    let hash = if hash == 0 { fnv1a(bytes) } else { fnv1a_on(hash, bytes) };
    // The end counts, so that "ab", "c" differs from "a", "bc".
    fnv1a_on(hash, &[0xff])
}

/// CRC-32 of these bytes, one slice behind the other.
#[must_use]
pub fn crc32(parts: &[&[u8]]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    parts.iter().for_each(|part| crc.update(part));
    crc.finalize()
}

/// A fixed mixture of 64 bits [splitmix].
#[must_use]
pub const fn splitmix64(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A key by which shapes are sorted into an order that looks random.
#[must_use]
pub fn scatter_key(shape: &[u32]) -> u32 {
    shape.iter().fold(0, |key, &x| (key ^ x).wrapping_mul(0x9E37_79B1).rotate_left(13))
}

/// Which of `parts` a pair belongs to, scattered, so that no part is a block or a stripe of pairs.
#[must_use]
pub const fn scatter_part(a: u32, b: u32, parts: u32) -> u32 {
    let mixed = a.wrapping_mul(0x9E37_79B1) ^ b.wrapping_mul(0x85EB_CA77);
    (mixed ^ (mixed >> 15)).wrapping_mul(0x2C1B_3C6D) % parts
}

/// A bijection of 32-bit words that scatters neighbours [lowbias32].
#[must_use]
pub const fn lowbias32(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7FEB_352D);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846C_A68B);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_the_published_ones() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(crc32(&[b"1234", b"56789"]), 0xcbf4_3926);
        // The first output of splitmix64 seeded with 0 and with 1234567.
        assert_eq!(splitmix64(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(splitmix64(1_234_567), 6_457_827_717_110_365_317);
        assert_eq!(lowbias32(0), 0);
    }

    /// Results rest on these values: whoever changes them moves which shapes are left out of what.
    #[test]
    fn scattered_shapes_stay_where_they_are() {
        assert_eq!(scatter_key(&[1, 2, 3]), 0x5e54_554c);
        assert_eq!(
            [(1, 1), (4096, 7168), (7168, 4096)].map(|(n, k)| scatter_part(n, k, 6)),
            [1, 0, 0]
        );
        assert_eq!(lowbias32(1), 0x6889_90c0);
    }

    #[test]
    fn the_end_of_each_text_counts() {
        let of =
            |texts: &[&str]| texts.iter().fold(0, |all, text| fold_bytes(all, text.as_bytes()));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
    }
}
