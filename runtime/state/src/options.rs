//! How RocksDB is tuned: point reads and ordered drains of small entries by one writer, in little memory.

use crate::settings::StateSettings;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, DataBlockIndexType, Env,
    LogLevel, Options, WriteOptions,
};

pub(crate) const STATE: &str = "state";
pub(crate) const TIMERS: &str = "timers";
pub(crate) const META: &str = "meta";
/// The column family that every RocksDB database has; it says how the database was made.
pub(crate) const DEFAULT: &str = "default";

/// A day: how long deleted entries may take up space in files that nothing else causes to be rewritten.
const RECLAIM_AFTER_S: u64 = 24 * 60 * 60;

/// Options of the database as a whole. Only a new one may be created: files gone missing must not pass for a new job.
pub(crate) fn database(settings: &StateSettings, new: bool) -> Result<Options, rocksdb::Error> {
    let mut options = Options::default();
    // All databases of the process share its threads, and by itself RocksDB would have one for their flushes: those that
    // must be on disk at the same moment, before a piece of the job can go elsewhere, would wait for each other.
    let mut env = Env::new()?;
    env.set_high_priority_background_threads(settings.background_jobs.into());
    options.set_env(&env);
    options.create_if_missing(new);
    options.create_missing_column_families(new);
    // A batch cut short by a crash was never acknowledged and is dropped. Any other flaw in the log is an error: the
    // more lenient modes silently drop everything behind it, committed epochs included.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_max_total_wal_size(settings.wal_bytes);
    options.set_max_background_jobs(settings.background_jobs.into());
    options.set_max_open_files(settings.open_files.into());
    // By itself RocksDB starts sixteen threads for each column family to look into its files, however few there are.
    options.set_max_file_opening_threads(settings.background_jobs.into());
    options.set_bytes_per_sync(1 << 20);
    // One writer: the plain skip-list insertion, which remembers where the last key went, beats the concurrent one.
    options.set_allow_concurrent_memtable_write(false);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 << 20);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    Ok(options)
}

/// Every column family with its options. All of them share one block cache.
pub(crate) fn columns(settings: &StateSettings) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(settings.block_cache_bytes);
    [DEFAULT, STATE, TIMERS, META]
        .map(|name| ColumnFamilyDescriptor::new(name, column(name, settings, &cache)))
        .into_iter()
        .collect()
}

fn column(name: &str, settings: &StateSettings, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_block_size(8 << 10);
    blocks.set_format_version(6);
    // Whole keys: most reads of a job with short windows are for keys that are not there.
    blocks.set_bloom_filter(10.0, false);
    blocks.set_optimize_filters_for_memory(true);
    // Within the cache's bound, not beside it.
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_cache_index_and_filter_blocks_with_high_priority(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);

    let mut options = Options::default();
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_level_compaction_dynamic_level_bytes(true);
    match name {
        STATE => {
            blocks.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
            blocks.set_data_block_hash_ratio(0.75);
            large(&mut options, settings);
        }
        TIMERS => {
            large(&mut options, settings);
            // A time index is a queue: what is deleted lies together, and whoever seeks to its front walks over it.
            options.add_compact_on_deletion_collector_factory(4096, 2048, 0.5);
        }
        // A few positions, watermarks and handles.
        _ => options.set_write_buffer_size(1 << 20),
    }
    options.set_block_based_table_factory(&blocks);
    options
}

fn large(options: &mut Options, settings: &StateSettings) {
    let buffer = settings.write_buffer_bytes;
    options.set_write_buffer_size(buffer);
    options.set_max_write_buffer_number(3);
    // Answers "not there" without walking the skip list.
    options.set_memtable_whole_key_filtering(true);
    options.set_memtable_prefix_bloom_ratio(0.05);
    options.set_target_file_size_base(32 << 20);
    options.set_max_bytes_for_level_base(4 * buffer as u64);
    options.set_periodic_compaction_seconds(RECLAIM_AFTER_S);
}

/// How a commit is written: on disk when it returns.
pub(crate) fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}
