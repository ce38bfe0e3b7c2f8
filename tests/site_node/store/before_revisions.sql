-- Tables of a site as the last release without revisions made them; never edited.
CREATE TABLE journal (
  id INTEGER NOT NULL, 
  at VARCHAR NOT NULL, 
  kind VARCHAR NOT NULL, 
  study VARCHAR, 
  rule VARCHAR, 
  data VARCHAR NOT NULL, 
  PRIMARY KEY (id)
);
CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, 'journal is append-only'); END;
CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, 'journal is append-only'); END;
CREATE TABLE mirror_log (
  study VARCHAR NOT NULL, 
  charter_id VARCHAR NOT NULL, 
  origin VARCHAR NOT NULL, 
  size INTEGER NOT NULL, 
  root BLOB NOT NULL, 
  note BLOB NOT NULL, 
  cosigned_at INTEGER NOT NULL, 
  cosignature VARCHAR NOT NULL, 
  sent BOOLEAN NOT NULL, 
  PRIMARY KEY (study)
);
CREATE TABLE mirror_entry (
  study VARCHAR NOT NULL, 
  idx INTEGER NOT NULL, 
  leaf_hash BLOB NOT NULL, 
  note BLOB NOT NULL, 
  PRIMARY KEY (study, idx)
);
CREATE TRIGGER mirror_entry_no_update BEFORE UPDATE ON mirror_entry BEGIN SELECT RAISE(ABORT, 'mirror_entry is append-only'); END;
CREATE TRIGGER mirror_entry_no_delete BEFORE DELETE ON mirror_entry BEGIN SELECT RAISE(ABORT, 'mirror_entry is append-only'); END;
CREATE TABLE mirror_quorum (
  study VARCHAR NOT NULL, 
  size INTEGER NOT NULL, 
  note BLOB NOT NULL, 
  PRIMARY KEY (study)
);
CREATE TABLE mirror_alarm (
  id INTEGER NOT NULL, 
  study VARCHAR NOT NULL, 
  at VARCHAR NOT NULL, 
  rule VARCHAR NOT NULL, 
  finding VARCHAR NOT NULL, 
  evidence BLOB NOT NULL, 
  PRIMARY KEY (id)
);
CREATE TRIGGER mirror_alarm_no_update BEFORE UPDATE ON mirror_alarm BEGIN SELECT RAISE(ABORT, 'mirror_alarm is append-only'); END;
CREATE TRIGGER mirror_alarm_no_delete BEFORE DELETE ON mirror_alarm BEGIN SELECT RAISE(ABORT, 'mirror_alarm is append-only'); END;
CREATE TABLE mirror_evidence (
  alarm INTEGER NOT NULL, 
  name VARCHAR NOT NULL, 
  data BLOB NOT NULL, 
  PRIMARY KEY (alarm, name)
);
CREATE TRIGGER mirror_evidence_no_update BEFORE UPDATE ON mirror_evidence BEGIN SELECT RAISE(ABORT, 'mirror_evidence is append-only'); END;
CREATE TRIGGER mirror_evidence_no_delete BEFORE DELETE ON mirror_evidence BEGIN SELECT RAISE(ABORT, 'mirror_evidence is append-only'); END;
CREATE TABLE outbox (
  text_sha256 VARCHAR NOT NULL, 
  leaf_hash BLOB NOT NULL, 
  note BLOB NOT NULL, 
  study VARCHAR, 
  way VARCHAR NOT NULL, 
  made_at VARCHAR NOT NULL, 
  sent_at VARCHAR, 
  "index" INTEGER, 
  refused VARCHAR, 
  PRIMARY KEY (text_sha256)
);
CREATE INDEX ix_outbox_study ON outbox (study);
CREATE TABLE reply (
  study VARCHAR NOT NULL, 
  kind VARCHAR NOT NULL, 
  round INTEGER NOT NULL, 
  model_sha256 VARCHAR NOT NULL, 
  dataset_version VARCHAR NOT NULL, 
  update_sha256 VARCHAR, 
  n INTEGER NOT NULL, 
  claims VARCHAR NOT NULL, 
  notes BLOB NOT NULL, 
  at VARCHAR NOT NULL, 
  PRIMARY KEY (study, kind, round, model_sha256, dataset_version)
);
CREATE TABLE study_decision (
  charter_id VARCHAR NOT NULL, 
  study VARCHAR NOT NULL, 
  state VARCHAR NOT NULL, 
  text BLOB NOT NULL, 
  line VARCHAR NOT NULL, 
  at VARCHAR NOT NULL, 
  sent BOOLEAN NOT NULL, 
  reason VARCHAR, 
  PRIMARY KEY (charter_id)
);
CREATE INDEX ix_study_decision_study ON study_decision (study);
CREATE TABLE document (
  sha256 VARCHAR NOT NULL, 
  data BLOB NOT NULL, 
  PRIMARY KEY (sha256)
);
CREATE TABLE destroyed_study (
  study VARCHAR NOT NULL, 
  charter_id VARCHAR NOT NULL, 
  size INTEGER NOT NULL, 
  root BLOB NOT NULL, 
  at VARCHAR NOT NULL, 
  PRIMARY KEY (study)
);
CREATE TABLE objects (
  dataset VARCHAR NOT NULL, 
  recipe VARCHAR NOT NULL, 
  sha256 VARCHAR NOT NULL, 
  outcome VARCHAR NOT NULL, 
  reason VARCHAR, 
  pixels VARCHAR, 
  patient VARCHAR, 
  patient_key VARCHAR, 
  study_key VARCHAR, 
  series_key VARCHAR, 
  instance_key VARCHAR, 
  accession_key VARCHAR, 
  facts JSON NOT NULL, 
  findings JSON NOT NULL, 
  label JSON, 
  label_reason VARCHAR, 
  given_split VARCHAR, 
  PRIMARY KEY (dataset, recipe, sha256)
);
CREATE INDEX ix_objects_patient_key ON objects (patient_key);
CREATE TABLE versions (
  dataset VARCHAR NOT NULL, 
  version VARCHAR NOT NULL, 
  number INTEGER NOT NULL, 
  folder VARCHAR NOT NULL, 
  summary JSON NOT NULL, 
  PRIMARY KEY (dataset, version)
);
CREATE TABLE samples (
  dataset VARCHAR NOT NULL, 
  recipe VARCHAR NOT NULL, 
  sha256 VARCHAR NOT NULL, 
  frame INTEGER NOT NULL, 
  "row" INTEGER NOT NULL, 
  PRIMARY KEY (dataset, recipe, sha256, frame)
);
CREATE TABLE shards (
  dataset VARCHAR NOT NULL, 
  recipe VARCHAR NOT NULL, 
  family INTEGER NOT NULL, 
  rows INTEGER NOT NULL, 
  PRIMARY KEY (dataset, recipe)
);
