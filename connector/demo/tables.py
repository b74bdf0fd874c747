"""The tables of the sample: the warehouse in the shape of 若依WMS, the archive of export lists in that of CEB603.

SQLite has no decimals, so quantities and amounts are text, which stays exact; times are text in Beijing time.
"""

from __future__ import annotations

_WRITTEN = "create_by TEXT, create_time TEXT, update_by TEXT, update_time TEXT"

WAREHOUSE = f"""
CREATE TABLE wms_warehouse (
  id BIGINT PRIMARY KEY, warehouse_code TEXT, warehouse_name TEXT NOT NULL, remark TEXT, order_num BIGINT, {_WRITTEN});
CREATE TABLE wms_item (
  id BIGINT PRIMARY KEY, item_code TEXT, item_name TEXT NOT NULL, item_category TEXT, unit TEXT, item_brand BIGINT,
  remark TEXT, {_WRITTEN});
CREATE TABLE wms_item_sku (
  id BIGINT PRIMARY KEY, sku_name TEXT, item_id BIGINT, barcode TEXT, sku_code TEXT, length TEXT, width TEXT,
  height TEXT, gross_weight TEXT, net_weight TEXT, cost_price TEXT, selling_price TEXT, {_WRITTEN});
CREATE TABLE wms_receipt_order (
  id BIGINT PRIMARY KEY, order_no TEXT, opt_type INT, merchant_id BIGINT, biz_order_no TEXT, total_quantity TEXT,
  total_amount TEXT, order_status TINYINT, warehouse_id BIGINT, remark TEXT, {_WRITTEN});
CREATE TABLE wms_receipt_order_detail (
  id BIGINT PRIMARY KEY, order_id BIGINT, sku_id BIGINT, quantity TEXT, amount TEXT, warehouse_id BIGINT, remark TEXT,
  {_WRITTEN});
CREATE TABLE wms_movement_order (
  id BIGINT PRIMARY KEY, order_no TEXT, source_warehouse_id BIGINT, target_warehouse_id BIGINT, order_status TINYINT,
  total_amount TEXT, total_quantity TEXT, remark TEXT, {_WRITTEN});
CREATE TABLE wms_movement_order_detail (
  id BIGINT PRIMARY KEY, order_id BIGINT, sku_id BIGINT, quantity TEXT, amount TEXT, remark TEXT,
  source_warehouse_id BIGINT, target_warehouse_id BIGINT, {_WRITTEN});
CREATE TABLE wms_shipment_order (
  id BIGINT PRIMARY KEY, order_no TEXT, opt_type INT, biz_order_no TEXT, merchant_id BIGINT, total_amount TEXT,
  total_quantity TEXT, order_status TINYINT, warehouse_id BIGINT, remark TEXT, {_WRITTEN});
CREATE TABLE wms_shipment_order_detail (
  id BIGINT PRIMARY KEY, order_id BIGINT, warehouse_id BIGINT, sku_id BIGINT, quantity TEXT, amount TEXT, remark TEXT,
  {_WRITTEN});
CREATE TABLE wms_check_order (
  id BIGINT PRIMARY KEY, order_no TEXT, order_status TINYINT, total_quantity TEXT, total_amount TEXT,
  warehouse_id BIGINT, remark TEXT, {_WRITTEN});
CREATE TABLE wms_check_order_detail (
  id BIGINT PRIMARY KEY, order_id BIGINT, sku_id BIGINT, quantity TEXT, amount TEXT, check_quantity TEXT,
  warehouse_id BIGINT, inventory_id BIGINT, remark TEXT, {_WRITTEN});
CREATE INDEX idx_movement_order_changed ON wms_movement_order (update_time, id);
CREATE INDEX idx_movement_order_detail_order ON wms_movement_order_detail (order_id);
CREATE INDEX idx_shipment_order_changed ON wms_shipment_order (update_time, id);
CREATE INDEX idx_shipment_order_detail_order ON wms_shipment_order_detail (order_id);
CREATE INDEX idx_check_order_changed ON wms_check_order (update_time, id);
CREATE INDEX idx_check_order_detail_order ON wms_check_order_detail (order_id);
CREATE INDEX idx_receipt_order_changed ON wms_receipt_order (update_time, id);
CREATE INDEX idx_receipt_order_no ON wms_receipt_order (order_no);
CREATE INDEX idx_receipt_order_detail_order ON wms_receipt_order_detail (order_id);
"""

ARCHIVE = """
CREATE TABLE export_list (
  id INTEGER PRIMARY KEY, guid TEXT, app_type TEXT, app_time TEXT, app_status TEXT, customs_code TEXT, ebp_code TEXT,
  ebp_name TEXT, order_no TEXT, logistics_code TEXT, logistics_name TEXT, logistics_no TEXT, cop_no TEXT, pre_no TEXT,
  invt_no TEXT, ie_flag TEXT, port_code TEXT, ie_date TEXT, statistics_flag TEXT, agent_code TEXT, agent_name TEXT,
  ebc_code TEXT, ebc_name TEXT, owner_code TEXT, owner_name TEXT, iac_code TEXT, iac_name TEXT, ems_no TEXT,
  trade_mode TEXT, traf_mode TEXT, traf_name TEXT, voyage_no TEXT, bill_no TEXT, total_package_no TEXT, loct_no TEXT,
  license_no TEXT, country TEXT, pod TEXT, freight TEXT, f_currency TEXT, f_flag TEXT, insured_fee TEXT,
  i_currency TEXT, i_flag TEXT, wrap_type TEXT, pack_no INTEGER, gross_weight TEXT, net_weight TEXT, note TEXT,
  release_time TEXT);
CREATE TABLE export_list_line (
  list_id INTEGER, gnum INTEGER, item_no TEXT, item_record_no TEXT, item_name TEXT, gcode TEXT, gname TEXT, gmodel TEXT,
  bar_code TEXT, country TEXT, currency TEXT, qty TEXT, qty1 TEXT, qty2 TEXT, unit TEXT, unit1 TEXT, unit2 TEXT,
  price TEXT, total_price TEXT, note TEXT, PRIMARY KEY (list_id, gnum));
CREATE TABLE return_transport (
  waybill TEXT PRIMARY KEY, bill_no TEXT, traf_mode TEXT, traf_name TEXT, voyage_no TEXT, country TEXT, port_code TEXT,
  logistics_code TEXT, logistics_name TEXT);
CREATE INDEX idx_export_list_order ON export_list (order_no);
CREATE INDEX idx_export_list_invt ON export_list (invt_no);
"""
