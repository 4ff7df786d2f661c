/// A Markdown table: the first column to the left, the others to the right.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(title: &str, columns: [&str; N]) -> Self {
        Self { title: title.to_owned(), columns: columns.map(str::to_owned).to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    pub(crate) fn print(&self) {
        println!("\n{}\n", self.title);
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                let cells =
                    std::iter::once(&self.columns).chain(&self.rows).filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        print_row(&self.columns, &widths);
        let rules: Vec<String> =
            widths
                .iter()
                .enumerate()
                .map(|(column, width)| {
                    if column == 0 { "-".repeat(*width) } else { format!("{:->width$}", ":", width = *width) }
                })
                .collect();
        print_row(&rules, &widths);
        for row in &self.rows {
            print_row(row, &widths);
        }
    }
}

fn print_row(cells: &[String], widths: &[usize]) {
    let mut line = String::from("|");
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        line += &if column == 0 { format!(" {cell:<width$} |") } else { format!(" {cell:>width$} |") };
    }
    println!("{line}");
}
