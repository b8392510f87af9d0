//! What is wrong with a document that is XML and no PAP, and where in its text that lies.

/// What a document lacks or has too much of (PAP code 2000).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    #[error("the root element is {0:?}, not \"pap\"")]
    Root(String),
    #[error("a pap element has exactly one document, found {0}")]
    Documents(usize),
    #[error("{0:?} is no PAP document")]
    UnknownDocument(String),
    #[error("{element} needs the attribute {attribute}")]
    Missing { element: &'static str, attribute: &'static str },
    #[error("{element}: {attribute} cannot be {value:?}")]
    Value { element: &'static str, attribute: &'static str, value: String },
    #[error("{element}: {attribute} cannot be {value:?}: it is {allowed}")]
    Choice { element: &'static str, attribute: &'static str, value: String, allowed: String },
    #[error("{element} needs {what}")]
    Children { element: &'static str, what: &'static str },
    #[error("{element}: an address is longer than {limit} bytes")]
    AddressTooLong { element: &'static str, limit: usize },
}

impl SchemaError {
    /// Where the fault lies in the text of the document, as far as names tell.
    #[must_use]
    pub(super) fn place(&self, text: &str) -> usize {
        let (element, attribute) = match self {
            Self::Value { element, attribute, .. } | Self::Choice { element, attribute, .. } => (*element, *attribute),
            Self::Missing { element, .. } | Self::Children { element, .. } | Self::AddressTooLong { element, .. } => {
                (*element, "")
            }
            Self::UnknownDocument(name) => (name.as_str(), ""),
            Self::Root(_) | Self::Documents(_) => return 0,
        };
        let at = text.match_indices(element).map(|(at, _)| at).find(|at| text[..*at].ends_with('<')).unwrap_or(0);
        at + text[at..].find(attribute).unwrap_or(0)
    }
}
