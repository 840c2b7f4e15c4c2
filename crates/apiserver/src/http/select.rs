//! Which objects of a collection a request means.

use apimachinery::selector::{FieldSelector, FieldTerm, LabelSelector};
use apimachinery::{Resource, Status};

use crate::store::Stored;

/// A label selector and a field selector together, both allowed for their resource.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Selection {
    /// # Errors
    /// 400 for a field that the resource cannot be selected by.
    pub(crate) fn of(
        labels: &LabelSelector,
        fields: &FieldSelector,
        resource: &Resource,
    ) -> Result<Self, Status> {
        fields.check(&resource.group_resource(), &[])?;
        let terms = fields.terms().iter().map(|term| FieldTerm {
            field: stored_field(resource, &term.field),
            ..term.clone()
        });
        Ok(Self {
            labels: labels.clone(),
            fields: FieldSelector::of(terms.collect()),
        })
    }

    /// Narrows it to the object of a name.
    pub(crate) fn and_name(&mut self, name: &str) {
        let mut terms = self.fields.terms().to_vec();
        terms.extend(FieldSelector::of_name(name).terms().iter().cloned());
        self.fields = FieldSelector::of(terms);
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    pub(crate) fn means(&self, object: &Stored) -> bool {
        self.labels.matches(|name| object.label(name))
            && self.fields.matches(|field| object.field(field))
    }
}

/// Events are stored once for both of their APIs, in the words of the older one.
fn stored_field(resource: &Resource, field: &str) -> String {
    match (&*resource.plural, field) {
        ("events", "reportingController") => "reportingComponent".to_owned(),
        ("events", field) => match field.strip_prefix("regarding.") {
            Some(rest) => format!("involvedObject.{rest}"),
            None => field.to_owned(),
        },
        ("namespaces", "name") => "metadata.name".to_owned(),
        (_, field) => field.to_owned(),
    }
}
