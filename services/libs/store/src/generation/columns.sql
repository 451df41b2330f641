-- Of both, in one order.
SELECT string_agg(quote_ident(one.attname), ', ' ORDER BY one.attnum) AS columns
FROM pg_catalog.pg_attribute AS one
JOIN pg_catalog.pg_attribute AS other USING (attname)
WHERE one.attrelid = format('%I.%s', $1::text, $2::text)::regclass
    AND other.attrelid = format('public.%s', $2::text)::regclass
    AND one.attnum > 0 AND NOT one.attisdropped AND NOT other.attisdropped
