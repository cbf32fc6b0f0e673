//! A link as a QR code on a terminal.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// What the terminal's own background is. A code must be dark on light to be read by every camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Background {
    /// Light modules are drawn, dark ones left out.
    #[default]
    Dark,
    /// Dark modules are drawn, light ones left out.
    Light,
}

/// The text is too long for a QR code: 2,953 bytes are the most.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes do not fit into a QR code; show the link itself")]
pub struct TooLong(pub usize);

/// The QR code of a text, two modules above one another in a character, with its quiet zone of four
/// modules, as lines without an end mark on the last. A ticket's link takes about 65 columns.
///
/// # Errors
/// [`TooLong`].
pub fn draw(text: &str, background: Background) -> Result<String, TooLong> {
    // Nothing wears off a screen, so the least redundancy will do, and the code stays small.
    let code = QrCode::with_error_correction_level(text, EcLevel::L).map_err(|_| TooLong(text.len()))?;
    let (dark, light) = match background {
        Background::Dark => (Dense1x2::Light, Dense1x2::Dark),
        Background::Light => (Dense1x2::Dark, Dense1x2::Light),
    };
    Ok(code.render().dark_color(dark).light_color(light).quiet_zone(true).build())
}

/// How many columns [`draw`] takes for a text, to tell whether the terminal is wide enough.
///
/// # Errors
/// [`TooLong`].
pub fn columns(text: &str) -> Result<usize, TooLong> {
    let drawn = draw(text, Background::Dark)?;
    Ok(drawn.lines().next().map_or(0, |line| line.chars().count()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use qrcode::Color;

    const LINK: &str = "https://mychips.org/invite?token=qUPHtUvuWsRQzGTuAjdTNVpi&chad=%7B%22cuid%22%3A%22alice%22%2C%22agent%22%3A%22c0rNdSQWCuNySKumc-ht5ZRPKu5M7GqegBFu-jhzlrg%22%2C%22host%22%3A%22localhost%22%2C%22port%22%3A65434%7D";
    const QUIET: usize = 4;

    /// The modules a camera sees, row by row: whether each is dark.
    fn seen(drawn: &str, background: Background) -> Vec<Vec<bool>> {
        let lit = background == Background::Dark; // a drawn half block is light on a dark background
        let mut rows = Vec::new();
        for line in drawn.lines() {
            let halves = |mark: char| match mark {
                ' ' => (false, false),
                '▀' => (true, false),
                '▄' => (false, true),
                '█' => (true, true),
                other => panic!("{other:?} is no half block"),
            };
            rows.push(line.chars().map(|mark| halves(mark).0 != lit).collect());
            rows.push(line.chars().map(|mark| halves(mark).1 != lit).collect());
        }
        rows
    }

    #[test]
    fn a_camera_sees_exactly_the_codes_modules_with_a_quiet_zone_round_it() {
        let code = QrCode::with_error_correction_level(LINK, EcLevel::L).unwrap();
        let (width, colors) = (code.width(), code.to_colors());
        for background in [Background::Dark, Background::Light] {
            let rows = seen(&draw(LINK, background).unwrap(), background);
            assert!(rows.len() >= width + 2 * QUIET);
            for (y, row) in rows.iter().enumerate().take(width + 2 * QUIET) {
                assert_eq!(row.len(), width + 2 * QUIET);
                for (x, dark) in row.iter().enumerate() {
                    let inside = (QUIET..QUIET + width).contains(&x) && (QUIET..QUIET + width).contains(&y);
                    let expected = inside && colors[(y - QUIET) * width + x - QUIET] == Color::Dark;
                    assert_eq!(*dark, expected, "{background:?} {x},{y}");
                }
            }
        }
    }

    #[test]
    fn the_code_of_a_ticket_fits_a_terminal_of_80_columns() {
        assert!(columns(LINK).unwrap() <= 80, "{}", columns(LINK).unwrap());
    }

    #[test]
    fn a_text_beyond_any_code_is_refused() {
        assert_eq!(draw(&"x".repeat(2_954), Background::Dark), Err(TooLong(2_954)));
        draw(&"x".repeat(2_953), Background::Dark).unwrap();
    }
}
