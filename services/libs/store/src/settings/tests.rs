use super::*;

fn read(pairs: &[(&str, &str)]) -> Result<PgSettings, SettingsError> {
    let pairs: Vec<(String, String)> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    PgSettings::read(&move |name| pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone()))
}
