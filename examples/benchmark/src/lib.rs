//! Work for the processor, to measure with. Nothing here asks the host for anything.

wit_bindgen::generate!({ path: "wit", world: "benchmark" });

struct Component;

export!(Component);

impl Guest for Component {
    fn add(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }

    fn echo(text: String) -> String {
        text
    }

    fn sha256_rounds(rounds: u32) -> Vec<u8> {
        let mut digest = [0; 32];
        for _ in 0..rounds {
            digest = sha256_of_32_bytes(&digest);
        }
        digest.to_vec()
    }

    fn fibonacci(n: u32) -> u64 {
        if n < 2 {
            u64::from(n)
        } else {
            Self::fibonacci(n - 1) + Self::fibonacci(n - 2)
        }
    }

    fn matrix(size: u32) -> f64 {
        let size = size as usize;
        let element = |index: usize| (index % 17) as f64 - 8.0;
        let left: Vec<f64> = (0..size * size).map(element).collect();
        let right: Vec<f64> = (0..size * size).map(|index| element(index + 5)).collect();
        let mut product = vec![0.0; size * size];
        for row in 0..size {
            for inner in 0..size {
                let factor = left[row * size + inner];
                for column in 0..size {
                    product[row * size + column] += factor * right[inner * size + column];
                }
            }
        }
        product.iter().sum()
    }

    fn sort(count: u32) -> u32 {
        let mut state: u32 = 1;
        let mut numbers: Vec<u32> = (0..count)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state
            })
            .collect();
        numbers.sort_unstable();
        numbers.get(numbers.len() / 2).copied().unwrap_or(0)
    }
}

/// FIPS 180-4, section 6.2, for a message that fits one block.
fn sha256_of_32_bytes(message: &[u8; 32]) -> [u8; 32] {
    let mut schedule = [0u32; 64];
    for (word, bytes) in schedule.iter_mut().zip(message.chunks_exact(4)) {
        *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    schedule[8] = 0x8000_0000;
    schedule[15] = 256;
    for i in 16..64 {
        let (w15, w2) = (schedule[i - 15], schedule[i - 2]);
        let s0 = w15.rotate_right(7) ^ w15.rotate_right(18) ^ (w15 >> 3);
        let s1 = w2.rotate_right(17) ^ w2.rotate_right(19) ^ (w2 >> 10);
        schedule[i] = schedule[i - 16]
            .wrapping_add(s0)
            .wrapping_add(schedule[i - 7])
            .wrapping_add(s1);
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = INITIAL;
    for (word, constant) in schedule.iter().zip(ROUND_CONSTANTS) {
        let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let choice = (e & f) ^ (!e & g);
        let t1 = h
            .wrapping_add(s1)
            .wrapping_add(choice)
            .wrapping_add(constant)
            .wrapping_add(*word);
        let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let majority = (a & b) ^ (a & c) ^ (b & c);
        let t2 = s0.wrapping_add(majority);
        (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(t1), c, b, a, t1.wrapping_add(t2));
    }
    let mut digest = [0; 32];
    let state = [a, b, c, d, e, f, g, h];
    for ((bytes, word), initial) in digest.chunks_exact_mut(4).zip(state).zip(INITIAL) {
        bytes.copy_from_slice(&word.wrapping_add(initial).to_be_bytes());
    }
    digest
}

/// FIPS 180-4, section 5.3.3.
#[rustfmt::skip]
const INITIAL: [u32; 8] = [
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
];

/// FIPS 180-4, section 4.2.2.
#[rustfmt::skip]
const ROUND_CONSTANTS: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];
