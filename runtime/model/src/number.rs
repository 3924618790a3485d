//! Numbers as text, put at the end of a buffer: every record needs half a dozen, and `write!` takes several
//! times as long for each.

/// Puts a number there as it is usually written: in decimal, without leading zeros.
pub fn push_decimal(text: &mut Vec<u8>, number: u64) {
    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Puts a number there as 16 hexadecimal digits.
pub fn push_hexadecimal(text: &mut Vec<u8>, number: u64) {
    let digits: [u8; 16] = std::array::from_fn(|at| {
        let digit = number >> (60 - 4 * at) & 0xf;
        b"0123456789abcdef"[digit as usize]
    });
    text.extend_from_slice(&digits);
}

/// Reads a number that is written as [`push_decimal`] does: without sign, space or leading zeros.
pub fn read_decimal(text: &str) -> Option<u64> {
    let is_plain = text == "0" || text.starts_with(|first: char| ('1'..='9').contains(&first));
    if is_plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_by_the_formatter() {
        for number in [0, 7, 10, 255, 1_234_567, 0x0123_4567_89ab_cdef, u64::MAX] {
            let (mut decimal, mut hexadecimal) = (Vec::new(), Vec::new());
            push_decimal(&mut decimal, number);
            push_hexadecimal(&mut hexadecimal, number);
            assert_eq!(decimal, number.to_string().into_bytes());
            assert_eq!(hexadecimal, format!("{number:016x}").into_bytes());
            assert_eq!(read_decimal(&number.to_string()), Some(number));
        }
    }

    #[test]
    fn a_number_is_written_in_one_way() {
        for other in ["", "+70", "070", "70 ", "7e1", "00", "18446744073709551616"] {
            assert_eq!(read_decimal(other), None, "{other}");
        }
    }
}
